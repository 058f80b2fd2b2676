-- Every plan: the port of apply.ts and draft.ts, on counters as tables. A part of apply.lua.
-- Returns what decides the plan that starts at a place of the request, and returns where the next
-- one starts; and what hands over all that was changed.

local AMOUNT_MAX = 9007199254740991
local CHECK, INCREMENT, DECREMENT, SET, RESET, GRANT = 0, 1, 2, 3, 4, 5
local DONE, DENIED, WITHHELD, OVERFLOW, CONFLICT, STALE = 0, 1, 2, 3, 4, 5
local CHANGED = 1
local LAST_AT = 65
-- What the form of a counter has more that remembers the window before its own.
local REMEMBERS = 0.5
-- A planned limit that nobody has told.
local UNKNOWN = -2

local floor, min, max = math.floor, math.min, math.max
local pack, unpackText = struct.pack, struct.unpack

-- Where it is in the request.
local at = 0

-- Changed counters. A counter is nil until looked at, false where nothing was ever counted.
local dirty = {}
-- Those of a plan of several steps, until it is admitted; nil: it has one.
local draft = nil

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
  if shape % 1 ~= 0 then
    cell.shape = floor(shape)
    -- One that was only counted since is stored without what it remembers.
    local whole = #text >= LAST_AT and text or before[place + 1]
    cell.lastStartMs, cell.lastEndMs, cell.lastUsed, cell.lastLimit =
      unpackText('<dddd', whole, LAST_AT)
  end
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
  dirty[place] = true
end

--@ include rolling.lua
--@ include look.lua
--@ include answers.lua

-- A kind of leg is a rule, a window and a limit, which many legs share. In the request: shape (with
-- a half where its counters remember the window before),
-- shapedMs, rollingMs, 1 for soft, whether its limit is by plan (0: no, 1: the default, 2: another),
-- start and end of the window, limit (-1: none), number of alerts, and these.
local kindsRead = {}

local function kindOf(place)
  local kind = kindsRead[place]
  if kind then return kind end
  kind = {
    shape = floor(request[place]), remembers = request[place] % 1 ~= 0,
    shapedMs = request[place + 1], rollingMs = request[place + 2],
    isSoft = request[place + 3] == 1, byPlan = request[place + 4],
    startMs = request[place + 5], endMs = request[place + 6], limit = request[place + 7],
    alerts = {},
  }
  for i = 1, request[place + 8] do kind.alerts[i] = request[place + 8 + i] end
  kindsRead[place] = kind
  return kind
end

local function isAmount(value)
  return type(value) == 'number' and value >= 0 and value <= AMOUNT_MAX and floor(value) == value
end

-- A step: action, amount, form; for each leg the place of its kind and its counter, and where the action speaks
-- to one rule, 1 for that one; where it has an idempotency key, its place, for how long its answer
-- is kept, how many legs are told, fingerprint and facts.
-- Form: 8 for each leg, plus 1: more steps follow, 2: speaks to one rule, 4: has a key.
local function readStep()
  action, amount = request[at], request[at + 1]
  if not isAmount(amount) then error('an amount expects an integer from 0 to 2^53-1') end
  local form = request[at + 2]
  at = at + 3
  legCount = floor(form / 8)
  isLast = form % 2 == 0
  local speaksToOne = form % 4 >= 2
  for leg = 1, legCount do
    kinds[leg], places[leg] = kindOf(request[at]), request[at + 1]
    at = at + 2
    speaks[leg] = true
    if speaksToOne then
      speaks[leg] = request[at] == 1
      at = at + 1
    end
  end
  tellsRolling = form % 8 >= 4
  if tellsRolling then
    answerPlace, ttlMs, toldCount = counterCount + request[at], request[at + 1], request[at + 2]
    fingerprint, facts = request[at + 3], request[at + 4]
    at = at + 5
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

local function tell(status) statuses[#statuses + 1] = status end

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

local function decidePlan(from)
  at = from
  local stepCount = 0
  local isPlanStale = false
  repeat
    readStep()
    stepCount = stepCount + 1
    for leg = 1, legCount do
      local cell = getBase(places[leg])
      cells[leg] = cell
      local enters = speaks[leg] and entersNow(action)
      if isStale(cell, kinds[leg], enters) then isPlanStale = true end
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
  return at
end

local function finish()
  for place in pairs(dirty) do
    local cell = counters[place]
    local entries = cell.entries
    local form = entries and -cell.shape or cell.shape
    if cell.lastUsed then form = form + REMEMBERS end
    local text = pack(
      '<dddddddd', form, cell.startMs, cell.endMs, cell.used,
      cell.granted, cell.alerted, cell.seenMs, cell.planned
    )
    if entries then
      local count = #entries
      text = text .. pack(pairFormat(count + 1), count / 2, unpack(entries))
    elseif cell.lastUsed then
      text = text
        .. pack('<dddd', cell.lastStartMs, cell.lastEndMs, cell.lastUsed, cell.lastLimit)
    end
    stored[place] = text
    changes[place] = CHANGED
  end
  keepAnswers()
end

return decidePlan, finish
