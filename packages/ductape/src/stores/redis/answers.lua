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

-- One call of format for all numbers: zeros are written, where they would be left out.
local SHORT = '%.0f,%.0f,%.0f,%.0f,%d'
local HELD = '%.0f,%.0f,%.0f,%.0f,%d,%.0f,,,,,%.0f'

local function checkText(check, nowMs)
  local window, alertedFrom, alerted = check.window, check.alertedFrom, check.alerted
  local before, after = nowMs - window.startMs, window.endMs - nowMs
  local used, previousUsed, granted, held =
    check.used, check.previousUsed, check.granted, check.held
  local flags = (check.admits and 1 or 0) + (check.inTheWay and 2 or 0)
  local rolling, countedIn, heldFitsMs = check.rolling, check.countedIn, check.heldFitsMs
  if alerted == alertedFrom and not rolling and not countedIn and heldFitsMs == 0 then
    if granted == 0 and held == 0 then
      return format(SHORT, before, after, used, previousUsed, flags)
    end
    return format(HELD, before, after, used, previousUsed, flags, granted, held)
  end
  if alerted == alertedFrom then alertedFrom, alerted = 0, 0 end
  local leaves, fits = '', ''
  if rolling then
    flags = flags + 4
    leaves = whole(rolling.leavesMs - nowMs)
    fits = rolling.fitsMs and whole(rolling.fitsMs - nowMs) or 'n'
  end
  local heldFits, from, to = '', '', ''
  if heldFitsMs ~= 0 then heldFits = whole(heldFitsMs - nowMs) end
  if countedIn then
    flags = flags + 8
    from, to = whole(nowMs - countedIn.startMs), whole(countedIn.endMs - nowMs)
  end
  local numbers = table.concat({
    whole(before), whole(after), whole(used), whole(previousUsed), whole(flags), whole(granted),
    fraction(alertedFrom), fraction(alerted), leaves, fits, whole(held), heldFits, from, to,
  }, ',')
  return (string.gsub(numbers, ',+$', ''))
end

-- As a record keeps it, an answer is its text.
local function keptAnswer(outcome, key)
  local nowMs, hold, amount = outcome.nowMs, outcome.hold, outcome.amount
  local head = format('%.0f,%.0f,%d', nowMs, key.ttlMs, STATUS_NUMBERS[outcome.status])
  if amount then head = format('%s,%.0f', head, amount) end
  if hold then
    head = format(
      '%s,%.0f,%.0f,%.0f,%.0f,%d', head, hold.expiresMs - nowMs, hold.held, hold.charged,
      hold.excess, hold.isExpired and 1 or 0
    )
  end
  local checks = outcome.checks
  local numbers = { head }
  for i = 1, #checks do numbers[i + 1] = checkText(checks[i], nowMs) end
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
