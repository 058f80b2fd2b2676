-- Reads the plans of the request. A part of apply.lua.

local ACTIONS = {
  'check', 'increment', 'decrement', 'set', 'reset', 'grant', 'reserve', 'commit', 'extend',
  'release',
}
-- The current place in the request.
local at = 0

-- Names for the rule that a step acts on and for the others, if it acts on one only. A rule and its
-- ledger share a name.
local SPOKEN_TO, OTHER = 1, -1

-- Terms are a rule, a window and a limit, which many checks share. In the request: the version of
-- the window (with a half where its counters remember the window before), since when it holds, the
-- length of a rolling window (-1: it counts open holds), 1 for soft, whether a value of the subject picks the limit (0: no, 1:
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
      rollingMs = max(0, request[place + 2]), isConcurrent = request[place + 2] < 0, isSoft = request[place + 3] == 1, picksLimit = picks ~= 0,
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

-- The hold of a step: its place (0: none), those of the lists of open holds, how long it is kept,
-- when it was reserved if that is known, 1 if it is settled plus 2 if its amount is not given,
-- owners, fingerprint, details, name.
local function readHoldTerms()
  local place = request[at]
  at = at + 1
  if place == 0 then return nil end
  if not writeHolds then decideHold, isHoldStale, writeHolds = knowHolds() end
  local flags = request[at + 4]
  local hold = {
    place = counterCount + place, openPlace = counterCount + request[at],
    endsPlace = counterCount + request[at + 1], ttlMs = request[at + 2],
    openedMs = request[at + 3], isFinal = flags % 2 == 1, isWhole = flags >= 2,
    owners = request[at + 5], fingerprint = request[at + 6], details = request[at + 7],
    name = request[at + 8],
  }
  at = at + 9
  return hold
end

-- The charge that a step takes back: how many windows (0: none), when it was counted, and for each
-- its start, end and version.
local function readCharge()
  local count, atMs = request[at], request[at + 1]
  at = at + 1
  if count == 0 then return nil end
  local charge = { atMs = atMs, windows = {}, windowVersions = {} }
  for i = 1, count do
    local from = at - 2 + 3 * i
    charge.windows[i] = { startMs = request[from], endMs = request[from + 1] }
    charge.windowVersions[i] = request[from + 2]
  end
  at = at + 1 + 3 * count
  return charge
end

-- A step: action, amount, form; for each check the places of its terms and its counter and, if the
-- action acts on one rule, 1 for that one; if it has an idempotency key, its place, how long to
-- keep its answer, how many checks are reported (the others are ledgers), fingerprint and details.
-- Then, if it is not a plain one: the least to admit (-1: all), 1 to count past the limit, how many
-- checks are reported, the hold, the charge.
-- Form: 16 for each check, plus 1: more steps follow, 2: acts on one rule, 4: has a key, 8: is not
-- plain.
local function readStep()
  local action, amount, form = ACTIONS[request[at] + 1], request[at + 1], request[at + 2]
  if not isAmount(amount) then error('an amount expects an integer from 0 to 2^53-1') end
  local count, speaksToOne = floor(form / 16), form % 4 >= 2
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
  local reported = count
  if form % 8 >= 4 then
    reported = request[at + 2]
    answerKey = {
      place = counterCount + request[at], ttlMs = request[at + 1], fingerprint = request[at + 3],
      details = request[at + 4],
    }
    at = at + 5
  end
  local atLeast, allowsExcess, hold, charge = nil, false, nil, nil
  if form % 16 >= 8 then
    if request[at] >= 0 then atLeast = request[at] end
    allowsExcess, reported = request[at + 1] == 1, request[at + 2]
    at = at + 3
    hold, charge = readHoldTerms(), readCharge()
  end
  for i = reported + 1, count do
    ledgers[i - reported] = checks[i]
    checks[i] = nil
  end
  return {
    action = action, amount = amount, rule = speaksToOne and SPOKEN_TO or nil, checks = checks,
    ledgers = ledgers, answerKey = answerKey, atLeast = atLeast, allowsExcess = allowsExcess,
    hold = hold, charge = charge,
  }, form % 2 == 0
end
