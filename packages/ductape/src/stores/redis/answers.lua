-- Answers to idempotency keys. A part of apply.lua.
--
-- An answer is a text: expires, now, status, number of legs, length of the fingerprint (doubles);
-- 12 doubles for each leg; the fingerprint; the facts.

local ANSWER_TTL_MS = 86400000
-- Answers by their place in KEYS, and those to keep.
local answers = {}
local keptAnswers = {}

local function readAnswer(place)
  local answer = answers[place]
  if answer ~= nil then return answer end
  local text = stored[place]
  if not text then
    answers[place] = false
    return false
  end
  local expiresMs, nowMs, status, legs, length = unpackText('<ddddd', text)
  local from = 41 + 96 * legs
  answer = {
    expiresMs = expiresMs, nowMs = nowMs, status = status,
    fingerprint = string.sub(text, from, from + length - 1),
  }
  answers[place] = answer
  return answer
end

local function bit(value) return value and 1 or 0 end

-- The step at hand, as readStep() found it in the request.
local action, amount, isLast = CHECK, 0, true
local answerPlace, fingerprint, facts = nil, '', ''

-- The answer to the step at hand; nil for a fault, of which nothing is kept.
local function answerOf(status)
  if status == OVERFLOW or status == CONFLICT then return nil end
  local expiresMs = now + ANSWER_TTL_MS
  local parts = { pack('<ddddd', expiresMs, now, status, legCount, #fingerprint) }
  for leg = 1, legCount do
    local isRolling = kinds[leg].rollingMs ~= 0
    local used, alerted = useds[leg], alerteds[leg]
    -- A step that is not done tells the counters as they stand.
    if status ~= DONE then used, alerted = previous[leg], alertedFroms[leg] end
    parts[leg + 1] = pack(
      '<dddddddddddd', startsMs[leg], endsMs[leg], used, granteds[leg], previous[leg],
      bit(admits[leg]), bit(inTheWays[leg]), bit(isRolling), isRolling and leavesMs[leg] or 0,
      isRolling and fitMs[leg] or 0, alertedFroms[leg], alerted
    )
  end
  parts[legCount + 2] = fingerprint
  parts[legCount + 3] = facts
  return {
    expiresMs = expiresMs, status = status, fingerprint = fingerprint,
    text = table.concat(parts),
  }
end

local function keepAnswer(place, answer)
  answers[place] = answer
  keptAnswers[place] = answer
end


local function keepAnswers()
  for place, answer in pairs(keptAnswers) do
    if isGivenClock then redis.call('SET', KEYS[place], answer.text)
    else
      redis.call('SET', KEYS[place], answer.text, 'PXAT', string.format('%.0f', answer.expiresMs))
    end
  end
end
