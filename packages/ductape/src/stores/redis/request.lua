-- Reads the plans of the request. A part of apply.lua.

local ACTIONS = { 'check', 'increment', 'decrement', 'set', 'reset', 'grant' }
-- The current place in the request.
local at = 0

-- Names for the rule that a step acts on and for the others, if it acts on one only. A rule and its
-- ledger share a name.
local SPOKEN_TO, OTHER = 1, -1

-- Terms are a rule, a window and a limit, which many checks share. In the request: the version of
-- the window (with a half where its counters remember the window before), since when it holds, the
-- length of a rolling window, 1 for soft, whether a value of the subject picks the limit (0: no, 1:
-- the default, 2: another), start and end of the window, limit (-1: none), number of alerts, and
-- these.
local termsRead = {}

local function termsAt(place, name)
  local key = name * place
  local terms = termsRead[key]
  if terms then return terms end
  local form, limit, picks = request[place], limitOf(request[place + 7]), request[place + 4]
  local alerts = {}
  for i = 1, request[place + 8] do alerts[i] = request[place + 8 + i] end
  terms = {
    rule = {
      name = name, windowVersion = floor(form), versionSinceMs = request[place + 1],
      rollingMs = request[place + 2], isSoft = request[place + 3] == 1, picksLimit = picks ~= 0,
      defaultLimit = picks == 2 and UNKNOWN or limit, alerts = alerts,
      remembersLast = form % 1 ~= 0,
    },
    window = { startMs = request[place + 5], endMs = request[place + 6] },
    limit = limit,
  }
  termsRead[key] = terms
  return terms
end

local function isAmount(value)
  return type(value) == 'number' and value >= 0 and value <= AMOUNT_MAX and floor(value) == value
end

-- A step: action, amount, form; for each check the places of its terms and its counter and, if the
-- action acts on one rule, 1 for that one; if it has an idempotency key, its place, how long to
-- keep its answer, how many checks are reported (the others are ledgers), fingerprint and details.
-- Form: 8 for each check, plus 1: more steps follow, 2: acts on one rule, 4: has a key.
local function readStep()
  local action, amount, form = ACTIONS[request[at] + 1], request[at + 1], request[at + 2]
  if not isAmount(amount) then error('an amount expects an integer from 0 to 2^53-1') end
  local count, speaksToOne = floor(form / 8), form % 4 >= 2
  local checks, ledgers = {}, {}
  local answerKey
  at = at + 3
  for i = 1, count do
    local isOther = speaksToOne and request[at + 2] == 0
    local terms = termsAt(request[at], isOther and OTHER or SPOKEN_TO)
    checks[i] = {
      rule = terms.rule, window = terms.window, limit = terms.limit, place = request[at + 1],
    }
    at = at + (speaksToOne and 3 or 2)
  end
  if form % 8 >= 4 then
    local reported = request[at + 2]
    for i = reported + 1, count do
      ledgers[i - reported] = checks[i]
      checks[i] = nil
    end
    answerKey = {
      place = counterCount + request[at], ttlMs = request[at + 1], fingerprint = request[at + 3],
      details = request[at + 4],
    }
    at = at + 5
  end
  return {
    action = action, amount = amount, rule = speaksToOne and SPOKEN_TO or nil, checks = checks,
    ledgers = ledgers, answerKey = answerKey,
  }, form % 2 == 0
end
