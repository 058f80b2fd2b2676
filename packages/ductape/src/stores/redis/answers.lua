-- Answers to idempotency keys. A part of apply.lua.
--
-- An answer is a text of three lines, as in answer.ts: numbers, the fingerprint, the details. One
-- of an older version begins with a zero byte: expires, now, status, number of checks, length of
-- the fingerprint (doubles); 12 doubles for each check; the fingerprint; the details.

local NEWLINE = string.char(10)
local HEAD = '^(%d+),(%d+),(%d)[^' .. NEWLINE .. ']*' .. NEWLINE .. '([^' .. NEWLINE .. ']*)'
local STATUSES = { 'done', 'denied', 'withheld', 'overflow', 'conflict', 'unknown' }
local STATUS_NUMBERS =
  { done = 0, denied = 1, withheld = 2, overflow = 3, conflict = 4, unknown = 5 }
local STALE = 6
local format = string.format
-- Answers to store, by their place in KEYS.
local keptAnswers = {}

-- Returns its expiry, its status and its fingerprint.
local function readAnswer(text)
  if string.byte(text) == 0 then
    local expiresMs, _, status, checks, length = unpackText('<ddddd', text)
    local from = 41 + 96 * checks
    return expiresMs, status, string.sub(text, from, from + length - 1)
  end
  local madeMs, ttlMs, status, fingerprint = string.match(text, HEAD)
  return madeMs + ttlMs, tonumber(status), fingerprint
end

-- Only the status of a repeat goes to the caller, who reads the rest of the answer itself.
local function repeatIf(isSame, text)
  local _, status = readAnswer(text)
  return { status = isSame and STATUSES[status + 1] or 'conflict', isReplayed = true }
end

local function repeatOf(text, key)
  local _, _, fingerprint = readAnswer(text)
  return repeatIf(fingerprint == key.fingerprint, text)
end

local function replayOf(text, key, nowMs)
  if readAnswer(text) <= nowMs then return nil end
  return repeatOf(text, key)
end

local function whole(number)
  if number == 0 then return '' end
  return format('%.0f', number)
end

local function fraction(number)
  if number == 0 then return '' end
  return format('%.17g', number)
end

local function checkText(check, nowMs)
  local window, alertedFrom, alerted = check.window, check.alertedFrom, check.alerted
  if alerted == alertedFrom then alertedFrom, alerted = 0, 0 end
  local flags = (check.admits and 1 or 0) + (check.inTheWay and 2 or 0)
  local leaves, fits = '', ''
  local rolling = check.rolling
  if rolling then
    flags = flags + 4
    leaves = whole(rolling.leavesMs - nowMs)
    fits = rolling.fitsMs and whole(rolling.fitsMs - nowMs) or 'n'
  end
  local heldFits, from, to = '', '', ''
  if check.heldFitsMs ~= 0 then heldFits = whole(check.heldFitsMs - nowMs) end
  local countedIn = check.countedIn
  if countedIn then
    flags = flags + 8
    from, to = whole(nowMs - countedIn.startMs), whole(countedIn.endMs - nowMs)
  end
  local numbers = table.concat({
    whole(nowMs - window.startMs), whole(window.endMs - nowMs), whole(check.used),
    whole(check.previousUsed), whole(flags), whole(check.granted), fraction(alertedFrom),
    fraction(alerted), leaves, fits, whole(check.held), heldFits, from, to,
  }, ',')
  return (string.gsub(numbers, ',+$', ''))
end

-- A number that is written even if it is zero.
local function digits(number) return format('%.0f', number) end

-- As a record keeps it, an answer is its text.
local function keptAnswer(outcome, key)
  local nowMs, hold = outcome.nowMs, outcome.hold
  local head = { digits(nowMs), digits(key.ttlMs), digits(STATUS_NUMBERS[outcome.status]) }
  if outcome.amount then head[4] = digits(outcome.amount) end
  if hold then
    head[5], head[6] = digits(hold.expiresMs - nowMs), digits(hold.held)
    head[7], head[8] = digits(hold.charged), digits(hold.excess)
    head[9] = hold.isExpired and '1' or '0'
  end
  local numbers = { table.concat(head, ',') }
  for i, check in ipairs(outcome.checks) do numbers[i + 1] = checkText(check, nowMs) end
  return table.concat({ table.concat(numbers, ';'), key.fingerprint, key.details }, NEWLINE)
end

local function answerText(kept) return kept end

function known:findAnswer(key) return stored[key.place] or nil end

function known:putAnswer(key, text, expiresMs)
  stored[key.place] = text
  keptAnswers[key.place] = expiresMs
end

local function writeAnswers()
  for place, expiresMs in pairs(keptAnswers) do
    if isGivenClock then redis.call('SET', KEYS[place], stored[place])
    else redis.call('SET', KEYS[place], stored[place], 'PXAT', whole(expiresMs)) end
  end
end
