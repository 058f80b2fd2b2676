-- Decides a batch of plans, in order: the port of apply.ts, rolling.ts and draft.ts.
--
-- KEYS     every counter of the batch, then every idempotency key, each once
-- ARGV[1]  now in epoch milliseconds; 0: the clock of this server
-- ARGV[2]  how many of KEYS are counters
-- ARGV[3]  the request: one JSON array of numbers and texts, as request.ts writes it
-- returns  { text of doubles: now, then each counter as it was before (0: none); one status for
--          each step;
--          each answer as it was before }. From these the caller tells every number.
--
-- Atomic as every script is: the counters are read first, written last, and an error is raised
-- only before the first write. Numbers are doubles and exact up to 2^53; none passes through text.
--
-- A counter is a text of 8 doubles: shape, start and end of its window, used, granted, alerted,
-- when it was seen, planned limit (-1: unlimited, -2: not known). Where shape is negative the window is rolling, and
-- the number of its pairs (latest instant, amount) follows, then these, oldest first.

local AMOUNT_MAX = 9007199254740991
local FOREVER_MS = 8640000000000000
local ANSWER_TTL_MS = 86400000
local ROLLING_PARTS = 60
local PAST_GRACE_MIN_MS = 60000
local PAST_GRACE_MAX_MS = 86400000
-- Fewer than the stack of a call holds.
local KEYS_PER_CALL = 4000

-- A planned limit that nobody has told.
local UNKNOWN = -2

local CHECK, INCREMENT, DECREMENT, SET, RESET, GRANT = 0, 1, 2, 3, 4, 5
local DONE, DENIED, WITHHELD, OVERFLOW, CONFLICT, STALE = 0, 1, 2, 3, 4, 5

local floor, min, max = math.floor, math.min, math.max
local pack, unpackText = struct.pack, struct.unpack

local now = tonumber(ARGV[1])
local isGivenClock = now ~= 0
if not isGivenClock then
  local time = redis.call('TIME')
  now = time[1] * 1000 + floor(time[2] / 1000)
end

local counterCount = tonumber(ARGV[2])
local request = cjson.decode(ARGV[3])

-- What is stored, by place in KEYS; false: nothing.
local stored = {}
for from = 1, #KEYS, KEYS_PER_CALL do
  local values = redis.call('MGET', unpack(KEYS, from, min(from + KEYS_PER_CALL - 1, #KEYS)))
  if from == 1 then stored = values
  else
    for i = 1, #values do stored[from + i - 1] = values[i] end
  end
end

local told = {}

-- What the caller is told of each counter, before any is changed.
local function tellCounters()
  local NONE = pack('<d', 0)
  local texts = { pack('<d', now) }
  for place = 1, counterCount do texts[place + 1] = stored[place] or NONE end
  told[1] = table.concat(texts)
  for place = counterCount + 1, #KEYS do told[place - counterCount + 2] = stored[place] end
end

-- Counters by place in KEYS: nil until looked at, false where nothing was ever counted. One that
-- is here is newer than its text in `stored`.
local counters = {}
-- How a changed counter is written.
local CHANGED, COUNTED = 1, 2
local changes = {}
-- Those of a plan of several steps, until it is admitted; nil: it has one.
local draft = nil
-- Answers by their place in KEYS, and those to keep.
local answers = {}
local keptAnswers = {}

local pairFormats = {}

local function pairFormat(count)
  local format = pairFormats[count]
  if not format then
    format = '<' .. string.rep('d', count)
    pairFormats[count] = format
  end
  return format
end

local function readCounter(place)
  local text = stored[place]
  if not text then
    counters[place] = false
    return false
  end
  local shape, startMs, endMs, used, granted, alerted, seenMs, planned =
    unpackText('<dddddddd', text)
  local cell = {
    shape = shape, startMs = startMs, endMs = endMs, used = used, granted = granted,
    alerted = alerted, seenMs = seenMs, planned = planned, entries = false,
  }
  if shape < 0 then
    cell.shape = -shape
    local count = 2 * unpackText('<d', text, 65)
    cell.entries = { unpackText(pairFormat(count), text, 73) }
    -- The last is where the text ended.
    cell.entries[count + 1] = nil
  end
  counters[place] = cell
  return cell
end

local function copyOf(cell)
  local copy = {}
  for name, value in pairs(cell) do copy[name] = value end
  if cell.entries then
    local entries = {}
    for i = 1, #cell.entries do entries[i] = cell.entries[i] end
    copy.entries = entries
  end
  return copy
end

local function getBase(place)
  local cell = counters[place]
  if cell == nil then return readCounter(place) end
  return cell
end

local function get(place)
  if not draft then return getBase(place) end
  local cell = draft[place]
  if cell then return cell end
  cell = getBase(place)
  return cell and copyOf(cell)
end

local function put(place, cell)
  if draft then
    draft[place] = cell
    return
  end
  counters[place] = cell
  changes[place] = CHANGED
end

-- Rolling windows: entries are pairs (latest instant, amount), oldest first.

local function liveSum(entries, leftMs)
  local sum = 0
  for i = #entries - 1, 1, -2 do
    if entries[i] > leftMs then sum = sum + entries[i + 1] end
  end
  return sum
end

local function oldestLeavesMs(entries, periodMs)
  for i = 1, #entries, 2 do
    if entries[i] > now - periodMs then return entries[i] + periodMs end
  end
  return now
end

-- -1: never.
local function fitsMs(entries, room, periodMs)
  if room < 0 then return -1 end
  local left = liveSum(entries, now - periodMs)
  for i = 1, #entries, 2 do
    local atMs = entries[i]
    if atMs > now - periodMs then
      left = left - entries[i + 1]
      if left <= room then return atMs + periodMs end
    end
  end
  return now + periodMs
end

local function dropLeft(entries, leftMs)
  local count = #entries
  local gone = 0
  while gone < count and entries[gone + 1] <= leftMs do gone = gone + 2 end
  if gone == 0 then return end
  for i = 1, count do entries[i] = entries[i + gone] end
end

local function addAmount(entries, amount, periodMs)
  local partMs = max(1, floor(periodMs / ROLLING_PARTS))
  local count = #entries
  local lastMs = entries[count - 1]
  -- A clock that stepped back joins the newest part: amounts never leave before their time.
  if count == 0 or floor(now / partMs) > floor(lastMs / partMs) then
    entries[count + 1] = now
    entries[count + 2] = amount
    return
  end
  entries[count - 1] = max(lastMs, now)
  entries[count] = entries[count] + amount
end

local function takeNewest(entries, amount)
  local rest = amount
  local count = #entries
  while rest > 0 and count > 0 do
    local newest = entries[count]
    if newest > rest then
      entries[count] = newest - rest
      return
    end
    rest = rest - newest
    entries[count] = nil
    entries[count - 1] = nil
    count = count - 2
  end
end

-- The legs of the step at hand, by number: what each asks, and what look() finds.
local places, kinds, speaks, cells = {}, {}, {}, {}
local startsMs, endsMs, useds, granteds, previous = {}, {}, {}, {}, {}
local admits, inTheWays, alertedFroms, alerteds = {}, {}, {}, {}
local leavesMs, fitMs = {}, {}
local legCount = 0
-- Only an answer that is kept tells when a rolling window has room again.
local tellsRolling = false

local function isStale(cell, kind)
  if cell and cell.shape > kind.shape then return true end
  if kind.rollingMs ~= 0 then return false end
  if now < kind.endMs and now >= kind.startMs then return false end
  if not cell or cell.shape ~= kind.shape then return true end
  return now >= cell.startMs or kind.startMs > cell.startMs
end

local function usedAt(cell, atMs)
  if not cell.entries then return atMs < cell.endMs and cell.used or 0 end
  return liveSum(cell.entries, atMs - (cell.endMs - cell.startMs))
end

local function carried(cell, kind)
  local atMs = min(kind.shapedMs, now)
  local isPast
  if kind.rollingMs == 0 then isPast = atMs < kind.startMs
  else isPast = atMs <= now - kind.rollingMs end
  if isPast then return 0 end
  return usedAt(cell, atMs)
end

local function shareOf(limit, fraction)
  local share = limit * fraction
  local near = floor(share)
  if share - near >= 0.5 then near = near + 1 end
  if math.abs(share - near) <= near * 2 ^ -51 then return near end
  return math.ceil(share)
end

local function alertedAfter(alerts, action, amount, used, limit, from)
  if action ~= INCREMENT and action ~= SET then return from end
  if used == 0 or (action == INCREMENT and amount == 0) then return from end
  local reached = from
  for i = 1, #alerts do
    local fraction = alerts[i]
    if fraction > reached and used >= shareOf(limit, fraction) then reached = fraction end
  end
  return reached
end

local function usedAfter(action, used, amount)
  if action == INCREMENT then return used + amount end
  if action == DECREMENT then return used > amount and used - amount or 0 end
  if action == SET then return amount end
  return action == RESET and 0 or used
end

local function fill(leg, kind, action, amount, previousUsed, granted, alertedFrom)
  local limit = kind.limit
  if limit >= 0 and granted ~= 0 then limit = min(AMOUNT_MAX, limit + granted) end
  local asks = amount ~= 0 and (action == INCREMENT or action == CHECK)
  local inTheWay = asks and limit >= 0 and previousUsed + amount > limit
  local used = usedAfter(action, previousUsed, amount)
  previous[leg] = previousUsed
  granteds[leg] = granted
  useds[leg] = used
  inTheWays[leg] = inTheWay
  admits[leg] = not inTheWay or kind.isSoft
  alertedFroms[leg] = alertedFrom
  if limit < 0 or #kind.alerts == 0 then alerteds[leg] = alertedFrom
  else
    alerteds[leg] = alertedAfter(kind.alerts, action, amount, used, limit, alertedFrom)
  end
end

local function rollingEntries(cell, kind)
  if cell.shape == kind.shape and cell.entries then return cell.entries end
  local used = carried(cell, kind)
  if used == 0 then return {} end
  return { min(kind.shapedMs, now), used }
end

local function lookRolling(leg, kind, cell, action, amount)
  local periodMs = kind.rollingMs
  local entries = cell and rollingEntries(cell, kind) or {}
  local previousUsed = liveSum(entries, now - periodMs)
  local isArmed = not cell or previousUsed == 0 or action == RESET
  startsMs[leg] = now - periodMs
  endsMs[leg] = now
  local granted = action == GRANT and amount or 0
  fill(leg, kind, action, amount, previousUsed, granted, isArmed and 0 or cell.alerted)
  if not tellsRolling then return end
  leavesMs[leg] = oldestLeavesMs(entries, periodMs)
  if inTheWays[leg] and kind.limit >= 0 then
    fitMs[leg] = fitsMs(entries, kind.limit - amount, periodMs)
  else fitMs[leg] = now end
end

local function look(leg, action, amount)
  local kind, cell = kinds[leg], cells[leg]
  if kind.rollingMs ~= 0 then return lookRolling(leg, kind, cell, action, amount) end
  local startMs, endMs = kind.startMs, kind.endMs
  local previousUsed, granted, alertedFrom = 0, 0, 0
  if cell then
    if cell.shape == kind.shape then
      if cell.startMs >= startMs then
        startMs, endMs = cell.startMs, cell.endMs
        previousUsed, granted, alertedFrom = cell.used, cell.granted, cell.alerted
      end
    else
      previousUsed = carried(cell, kind)
      if previousUsed ~= 0 then alertedFrom = cell.alerted end
    end
  end
  if action == GRANT then granted = granted + amount end
  startsMs[leg] = startMs
  endsMs[leg] = endMs
  if action == RESET then alertedFrom = 0 end
  fill(leg, kind, action, amount, previousUsed, granted, alertedFrom)
end

local function lookAll(action, amount)
  local status = DONE
  for leg = 1, legCount do
    if speaks[leg] then look(leg, action, amount) else look(leg, CHECK, 0) end
    if not admits[leg] then status = DENIED
    elseif status == DONE and (useds[leg] > AMOUNT_MAX or granteds[leg] > AMOUNT_MAX) then
      status = OVERFLOW
    end
  end
  return status
end

local function writeRolling(cell, leg, kind, action, amount)
  local periodMs = kind.rollingMs
  local entries
  if action == RESET then entries = {}
  elseif action == SET then entries = amount == 0 and {} or { now, amount }
  else
    entries = rollingEntries(cell, kind)
    dropLeft(entries, now - periodMs)
    if action == INCREMENT then addAmount(entries, amount, periodMs) end
    if action == DECREMENT then takeNewest(entries, amount) end
  end
  cell.entries = entries
  cell.startMs = now
  cell.endMs = max(now, entries[#entries - 1] or now) + periodMs
  if tellsRolling then
    leavesMs[leg] = oldestLeavesMs(entries, periodMs)
    fitMs[leg] = now
  end
end

-- byPlan, 1: the limit is picked by plan, and is the default; 2: by plan, and another. Who counts
-- is known by plan; whoever else changes a counter may know none.
local function tellsPlan(kind, action)
  return kind.byPlan == 2 or kind.byPlan == 1 and action == INCREMENT
end

local function write(action, amount)
  if amount == 0 and action == INCREMENT then return end
  for leg = 1, legCount do
    if speaks[leg] then
      local kind, known = kinds[leg], cells[leg]
      local cell = known or { shape = kind.shape, endMs = 0, used = 0, planned = UNKNOWN, entries = false }
      if kind.rollingMs ~= 0 then writeRolling(cell, leg, kind, action, amount)
      else
        cell.entries = false
        cell.startMs = startsMs[leg]
        cell.endMs = endsMs[leg]
      end
      cell.shape = kind.shape
      cell.used = useds[leg]
      cell.granted = granteds[leg]
      cell.alerted = alerteds[leg]
      cell.seenMs = now
      if tellsPlan(kind, action) then cell.planned = kind.limit end
      put(places[leg], cell)
    end
  end
end

-- An answer is a text: expires, now, status, number of legs, length of the fingerprint (doubles);
-- 12 doubles for each leg; the fingerprint; the facts.

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

local kindList = {}
local at = 1

local function readNumber()
  at = at + 1
  return request[at - 1]
end

-- The kinds of leg come first: a rule, a window and a limit, which many legs share.
local function readKinds()
  for number = 1, readNumber() do
    local kind = {
      shape = readNumber(), shapedMs = readNumber(), rollingMs = readNumber(),
      isSoft = readNumber() == 1, byPlan = readNumber(),
      startMs = readNumber(), endMs = readNumber(), limit = readNumber(), alerts = {},
    }
    for i = 1, readNumber() do kind.alerts[i] = readNumber() end
    kind.isPlain = kind.rollingMs == 0 and #kind.alerts == 0
    kindList[number] = kind
  end
end

local function isAmount(value)
  return type(value) == 'number' and value >= 0 and value <= AMOUNT_MAX and floor(value) == value
end

-- A step: action, amount, form; for each leg its kind and its counter, and where the action speaks
-- to one rule, 1 for that one; where it has an idempotency key, its place, fingerprint and facts.
-- Form: 8 for each leg, plus 1: more steps follow, 2: speaks to one rule, 4: has a key.
local function readStep()
  action, amount = request[at], request[at + 1]
  if not isAmount(amount) then error('an amount wants an integer from 0 to 2^53-1') end
  local form = request[at + 2]
  at = at + 3
  legCount = floor(form / 8)
  isLast = form % 2 == 0
  local speaksToOne = form % 4 >= 2
  for leg = 1, legCount do
    kinds[leg], places[leg] = kindList[request[at]], request[at + 1]
    at = at + 2
    speaks[leg] = true
    if speaksToOne then speaks[leg] = readNumber() == 1 end
  end
  tellsRolling = form % 8 >= 4
  if tellsRolling then
    answerPlace, fingerprint, facts =
      counterCount + request[at], request[at + 1], request[at + 2]
    at = at + 3
  else answerPlace = nil end
end

-- Decides the step at hand; returns its status, and whether it is that of an earlier answer.
local function decideStep()
  if answerPlace then
    local answer = readAnswer(answerPlace)
    if answer and answer.expiresMs > now then
      return answer.fingerprint == fingerprint and answer.status or CONFLICT, true
    end
  end
  local status = lookAll(action, amount)
  if status == DONE and action ~= CHECK then write(action, amount) end
  return status, false
end

local statuses = {}
local statusCount = 0

local function tell(status)
  statusCount = statusCount + 1
  statuses[statusCount] = status
end

local function load(from)
  at = from
  readStep()
  for leg = 1, legCount do cells[leg] = get(places[leg]) end
end

-- Several steps as one: each sees the ones before it; one refusal takes all of them back.
local function decideAll(from, stepCount)
  local steps = {}
  local areAllDone, isFaulty = true, false
  draft = {}
  for i = 1, stepCount do
    local step = { from = from }
    load(from)
    from = at
    step.status, step.isReplayed = decideStep()
    if step.status ~= DONE then areAllDone = false end
    if step.status == OVERFLOW or step.status == CONFLICT then isFaulty = true end
    -- Made at once: the numbers of the next step take their place.
    if answerPlace and not step.isReplayed then
      step.place, step.answer = answerPlace, answerOf(step.status)
    end
    steps[i] = step
  end
  local drafted = draft
  draft = nil
  if areAllDone then
    for place, cell in pairs(drafted) do put(place, cell) end
  end
  for i = 1, stepCount do
    local step = steps[i]
    if not step.isReplayed then
      if not areAllDone and step.status == DONE then
        step.status = WITHHELD
        load(step.from)
        lookAll(CHECK, amount)
        if step.answer then step.answer = answerOf(WITHHELD) end
      end
      if not isFaulty and step.answer then keepAnswer(step.place, step.answer) end
    end
    tell(step.status)
  end
  at = from
end

-- The common plan in short: a check or an increment of one calendar counter without alerts, kept
-- as text. Returns its status; nil where the counter is of another form.
local function decidePlain(kind, place)
  local text = stored[place]
  local startMs, endMs = kind.startMs, kind.endMs
  local isOutside = now >= endMs or now < startMs
  local used, granted, alerted, planned = 0, 0, 0, UNKNOWN
  local change = CHANGED
  if text then
    local shape, sinceMs, untilMs, u, g, a, _, p = unpackText('<dddddddd', text)
    if shape ~= kind.shape then return nil end
    if isOutside and (now >= sinceMs or startMs > sinceMs) then return STALE end
    planned = p
    if sinceMs >= startMs then
      startMs, endMs, used, granted, alerted = sinceMs, untilMs, u, g, a
      change = changes[place] or COUNTED
    end
  elseif isOutside then return STALE end
  local limit = kind.limit
  if limit >= 0 and amount ~= 0 and not kind.isSoft then
    if granted ~= 0 then limit = min(AMOUNT_MAX, limit + granted) end
    if used + amount > limit then return DENIED end
  end
  if action == CHECK or amount == 0 then return DONE end
  used = used + amount
  if used > AMOUNT_MAX then return OVERFLOW end
  if kind.byPlan > 0 then planned = kind.limit end
  stored[place] =
    pack('<dddddddd', kind.shape, startMs, endMs, used, granted, alerted, now, planned)
  changes[place] = change
  return DONE
end

local function decidePlan()
  if request[at + 2] == 8 then
    local kind, place = kindList[request[at + 3]], request[at + 4]
    action, amount = request[at], request[at + 1]
    if kind.isPlain and action <= INCREMENT and isAmount(amount) and counters[place] == nil then
      local status = decidePlain(kind, place)
      if status then
        at = at + 5
        return tell(status)
      end
    end
  end
  local from = at
  local stepCount = 0
  local isPlanStale = false
  repeat
    readStep()
    stepCount = stepCount + 1
    for leg = 1, legCount do
      local cell = getBase(places[leg])
      cells[leg] = cell
      if isStale(cell, kinds[leg]) then isPlanStale = true end
    end
  until isLast
  if isPlanStale then
    for _ = 1, stepCount do tell(STALE) end
  elseif stepCount > 1 then decideAll(from, stepCount)
  else
    local status, isReplayed = decideStep()
    if answerPlace and not isReplayed then
      local answer = answerOf(status)
      if answer then keepAnswer(answerPlace, answer) end
    end
    tell(status)
  end
end

-- Housekeeping only: a counter is kept as long again as its window, at least a minute and at most
-- a day, so that a changed rule can carry it over. Under a given clock nothing expires by itself.
local expiries = {}

local function expiryOf(startMs, endMs)
  local expiry = expiries[endMs]
  if expiry == nil then
    local graceMs = min(max(endMs - startMs, PAST_GRACE_MIN_MS), PAST_GRACE_MAX_MS)
    expiry = not isGivenClock and endMs < FOREVER_MS and string.format('%.0f', endMs + graceMs)
    expiries[endMs] = expiry
  end
  return expiry
end

local function keep(place, text, expiry)
  if expiry then redis.call('SET', KEYS[place], text, 'PXAT', expiry)
  else redis.call('SET', KEYS[place], text) end
end

local function keepText(place, change)
  local text = stored[place]
  -- As long as before, so it keeps its expiry too: half the cost of setting one.
  if change == COUNTED then redis.call('SETRANGE', KEYS[place], 0, text)
  else
    local _, startMs, endMs = unpackText('<ddd', text)
    keep(place, text, expiryOf(startMs, endMs))
  end
end

local function keepCounter(place, cell)
  local entries = cell.entries
  local text = pack(
    '<dddddddd', entries and -cell.shape or cell.shape, cell.startMs, cell.endMs, cell.used,
    cell.granted, cell.alerted, cell.seenMs, cell.planned
  )
  if entries then
    local count = #entries
    text = text .. pack(pairFormat(count + 1), count / 2, unpack(entries))
  end
  keep(place, text, expiryOf(cell.startMs, cell.endMs))
end

tellCounters()
readKinds()
local requestEnd = #request
while at <= requestEnd do decidePlan() end
for place, change in pairs(changes) do
  if counters[place] then keepCounter(place, counters[place]) else keepText(place, change) end
end
for place, answer in pairs(keptAnswers) do
  keep(place, answer.text, not isGivenClock and string.format('%.0f', answer.expiresMs))
end
told[2] = table.concat(statuses)
return told
