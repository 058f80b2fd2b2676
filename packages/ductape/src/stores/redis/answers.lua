-- Answers to idempotency keys. A part of apply.lua.
--
-- An answer is a text of three lines, as answer.ts says: numbers, the fingerprint, the facts. One of
-- an older version begins with a zero byte: expires, now, status, number of legs, length of the
-- fingerprint (doubles); 12 doubles for each leg; the fingerprint; the facts.

local NEWLINE = string.char(10)
local HEAD = '^(%d+),(%d+),(%d)[^' .. NEWLINE .. ']*' .. NEWLINE .. '([^' .. NEWLINE .. ']*)'
local format = string.format
-- Answers by their place in KEYS, and those to keep.
local answers = {}
local keptAnswers = {}

local function readOld(text)
  local expiresMs, nowMs, status, legs, length = unpackText('<ddddd', text)
  local from = 41 + 96 * legs
  return {
    expiresMs = expiresMs, nowMs = nowMs, status = status,
    fingerprint = string.sub(text, from, from + length - 1),
  }
end

local function readText(text)
  local nowMs, ttlMs, status, fingerprint = string.match(text, HEAD)
  return {
    expiresMs = nowMs + ttlMs, nowMs = tonumber(nowMs), status = tonumber(status),
    fingerprint = fingerprint,
  }
end

local function readAnswer(place)
  local answer = answers[place]
  if answer ~= nil then return answer end
  local text = stored[place]
  if not text then answer = false
  elseif string.byte(text) == 0 then answer = readOld(text)
  else answer = readText(text) end
  answers[place] = answer
  return answer
end

-- The step at hand, as readStep() found it in the request.
local action, amount, isLast = CHECK, 0, true
local answerPlace, ttlMs, toldCount, fingerprint, facts = nil, 0, 0, '', ''

local function whole(number)
  if number == 0 then return '' end
  return format('%.0f', number)
end

local function fraction(number)
  if number == 0 then return '' end
  return format('%.17g', number)
end

local function legText(leg, status)
  local used, alertedFrom, alerted = useds[leg], alertedFroms[leg], alerteds[leg]
  -- A step that is not done tells the counters as they stand.
  if status ~= DONE then used, alerted = previous[leg], alertedFrom end
  if alerted == alertedFrom then alertedFrom, alerted = 0, 0 end
  local flags = (admits[leg] and 1 or 0) + (inTheWays[leg] and 2 or 0)
  local leaves, fits = '', ''
  if kinds[leg].rollingMs ~= 0 then
    flags = flags + 4
    leaves = whole(leavesMs[leg] - now)
    fits = fitMs[leg] == -1 and 'n' or whole(fitMs[leg] - now)
  end
  local numbers = table.concat({
    whole(now - startsMs[leg]), whole(endsMs[leg] - now), whole(used), whole(previous[leg]),
    whole(flags), whole(granteds[leg]), fraction(alertedFrom), fraction(alerted), leaves, fits,
  }, ',')
  return (string.gsub(numbers, ',+$', ''))
end

-- The answer to the step at hand; nil for a fault, of which nothing is kept.
local function answerOf(status)
  if status == OVERFLOW or status == CONFLICT then return nil end
  local numbers = { whole(now) .. ',' .. whole(ttlMs) .. ',' .. format('%d', status) }
  for leg = 1, toldCount do numbers[leg + 1] = legText(leg, status) end
  return {
    expiresMs = now + ttlMs, status = status, fingerprint = fingerprint,
    text = table.concat({ table.concat(numbers, ';'), fingerprint, facts }, NEWLINE),
  }
end

local function keepAnswer(place, answer)
  answers[place] = answer
  keptAnswers[place] = answer
end

local function keepAnswers()
  for place, answer in pairs(keptAnswers) do
    if isGivenClock then redis.call('SET', KEYS[place], answer.text)
    else redis.call('SET', KEYS[place], answer.text, 'PXAT', whole(answer.expiresMs)) end
  end
end
