-- Decides a batch of plans, in order, as decide/apply.ts does.
--
-- KEYS     every counter of the batch, then every idempotency key, hold and list of open holds,
--          each once
-- ARGV[1]  now in epoch milliseconds; 0: the clock of this server
-- ARGV[2]  how many of KEYS are counters
-- ARGV[3]  the request: one JSON array of numbers and texts, as batch.ts writes it
-- ARGV[4]  1: the caller keeps no counter, so it needs no parts of holds that decide nothing
-- returns  { text of doubles: now, then each counter as it was before (0: none); one status for
--          each step;
--          each other key as it was before }. From these the caller computes every number.
--
-- Atomic like every script: counters are read first and written last, and an error is raised
-- only before the first write. Numbers are doubles and exact up to 2^53; none passes through text.
--
-- A counter is a text of 8 doubles: version of its window, start and end, used, granted, alerted,
-- when it was seen, last known limit (-1: none, -2: not known). If the version is negative the
-- window is rolling, and the number of its pairs (instant, amount) follows, 64 at most, then the
-- pairs, oldest first. A half in the version means that the counter remembers the window before its
-- own, which follows: start, end, used (0: nothing), limit with its grants (-1: none). A quarter
-- means that it knows holds, which come first: their sum, when the first part ends, their edition,
-- how many parts there are, and these: end, amount, edition.

local AMOUNT_MAX = 9007199254740991
local FOREVER_MS = 8640000000000000
local PAST_GRACE_MIN_MS = 60000
local PAST_GRACE_MAX_MS = 86400000
-- Fewer than fit on the stack of a call.
local KEYS_PER_CALL = 4000
-- An unknown limit.
local UNKNOWN = -2
local CHECK, INCREMENT = 0, 1
local DONE, DENIED, OVERFLOW, STALE = 0, 1, 3, 6
-- How a counter is written: with a new expiry, or in the window that it has.
local CHANGED, COUNTED = 1, 2
-- What follows the numbers of a counter that remembers a window, and its place.
local LAST_AT = 65

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

-- Texts by place in KEYS: as they are stored, then as they will be; false: none.
local stored = {}
for from = 1, #KEYS, KEYS_PER_CALL do
  local values = redis.call('MGET', unpack(KEYS, from, min(from + KEYS_PER_CALL - 1, #KEYS)))
  if from == 1 then stored = values
  else
    for i = 1, #values do stored[from + i - 1] = values[i] end
  end
end

-- What the caller gets of each counter and answer, before any is changed.
local reply = {}
local NONE = pack('<d', 0)
local NOTHING = pack('<dddd', 0, 0, 0, -1)
-- Added to the version of a counter that knows holds.
local HOLDS = 0.25
local before = { pack('<d', now) }
for place = 1, counterCount do before[place + 1] = stored[place] or NONE end
for place = counterCount + 1, #KEYS do reply[place - counterCount + 2] = stored[place] end

-- How each changed counter is written, by place.
local changes = {}
-- Counters of which only the sum of their holds was needed so far, by place.
local sums = {}
-- Counters that general() has taken over from `stored`, by place.
local counters = {}
local statuses = {}

-- Everything uncommon. Its functions are created when a plan needs them, because that takes longer
-- than a common batch of one. It uses no upvalue, for the same reason.
local function general(
  now, isGivenClock, counterCount, request, stored, before, changes, counters, statuses
)
  --@ include general.lua
end

local decidePlan, finish

-- The common plan is written out here: a check or an increment of one calendar counter without
-- alerts, read and written as text.
local at = request[1]
local requestEnd = #request
while at <= requestEnd do
  local action, amount = request[at], request[at + 1]
  local terms, place = request[at + 3], request[at + 4]
  local status = nil
  local isPlain = request[at + 2] == 16 and request[terms + 2] == 0 and request[terms + 8] == 0
  if isPlain and action <= INCREMENT and counters[place] == nil then
    local text = stored[place]
    local formNow, startMs, endMs = request[terms], request[terms + 5], request[terms + 6]
    local isOutside = now >= endMs or now < startMs
    local used, granted, alerted, planned, held = 0, 0, 0, UNKNOWN, 0
    local form = formNow
    local change = CHANGED
    local last = formNow % 1 == 0 and '' or NOTHING
    local isOfForm, isStale = true, isOutside
    if text then
      local shape, sinceMs, untilMs, u, g, a, _, p = unpackText('<dddddddd', text)
      isOfForm = shape == formNow
      if shape == formNow + HOLDS and now < untilMs then
        -- The parts do not change until the first one ends.
        local parts = #text >= LAST_AT and text or before[place + 1]
        local sum, firstMs = unpackText('<dd', parts, LAST_AT)
        isOfForm = now < firstMs
        form, held = shape, sum
        -- A soft limit tells when the amount would fit.
        if request[terms + 3] ~= 0 then sums[place] = false
        elseif sums[place] == nil then sums[place] = true end
      end
      isStale = isOutside and (now >= sinceMs or startMs > sinceMs)
      planned = p
      if now < untilMs then
        startMs, endMs, used, granted, alerted = sinceMs, untilMs, u, g, a
        change = changes[place] or COUNTED
        if change == CHANGED then last = string.sub(text, LAST_AT) end
      else
        if sinceMs >= startMs then used, granted, alerted = u, g, a end
        if last ~= '' then
          -- general() decides if the window did not end before the current one.
          isOfForm = isOfForm and untilMs <= startMs
          if u > 0 then
            local ended = p == UNKNOWN and request[terms + 7] or p
            if g ~= 0 and ended >= 0 then ended = min(AMOUNT_MAX, ended + g) end
            last = pack('<dddd', sinceMs, untilMs, u, ended)
          end
        end
      end
    end
    local limit = request[terms + 7]
    if granted ~= 0 and limit >= 0 then limit = min(AMOUNT_MAX, limit + granted) end
    -- general() refuses anything that is not an amount.
    if isOfForm and amount >= 0 and amount <= AMOUNT_MAX and floor(amount) == amount then
      if isStale then status = STALE
      elseif limit >= 0 and amount ~= 0 and request[terms + 3] == 0 and used + held + amount > limit then
        status = DENIED
        sums[place] = false
      elseif action == CHECK or amount == 0 then status = DONE
      elseif used + held + amount > AMOUNT_MAX then status = OVERFLOW
      else
        status = DONE
        if request[terms + 4] > 0 then planned = request[terms + 7] end
        local counted = pack(
          '<dddddddd', form, startMs, endMs, used + amount, granted, alerted, now, planned
        )
        -- In an unchanged window only these are written.
        stored[place] = change == COUNTED and counted or counted .. last
        changes[place] = change
      end
    end
  end
  if status then
    at = at + 5
    statuses[#statuses + 1] = status
  else
    if not decidePlan then
      decidePlan, finish =
        general(
          now, isGivenClock, counterCount, request, stored, before, changes, counters, statuses
        )
    end
    at = decidePlan(at)
  end
end
if finish then finish() end

-- Housekeeping only: a counter is kept for the length of its window again, at least a minute and at
-- most a day, so that a changed rule can transfer it; one that remembers a window, until the window
-- after its own has ended. Under a given clock nothing expires by itself.
local expiries = {}
for place, change in pairs(changes) do
  local text = stored[place]
  -- The same length as before, so it keeps its expiry: half the cost of setting one.
  if change == COUNTED then redis.call('SETRANGE', KEYS[place], 0, text)
  else
    local form, startMs, endMs = unpackText('<ddd', text)
    local remembers = form > 0 and form % 1 >= 0.5
    -- Counters of both kinds may end at the same instant.
    local name = remembers and -endMs or endMs
    local expiry = expiries[name]
    if not expiry and not isGivenClock and endMs < FOREVER_MS then
      local graceMs = min(max(endMs - startMs, PAST_GRACE_MIN_MS), PAST_GRACE_MAX_MS)
      if remembers then graceMs = math.ceil((endMs - startMs) * 9 / 8) end
      expiry = string.format('%.0f', endMs + graceMs)
      expiries[name] = expiry
    end
    if expiry then redis.call('SET', KEYS[place], text, 'PXAT', expiry)
    else redis.call('SET', KEYS[place], text) end
  end
end

if ARGV[4] == '1' then
  for place, isSum in pairs(sums) do
    if isSum and counters[place] == nil then
      local text = before[place + 1]
      local count = unpackText('<d', text, LAST_AT + 24)
      before[place + 1] =
        string.sub(text, 1, LAST_AT + 23) .. NONE .. string.sub(text, LAST_AT + 32 + 24 * count)
    end
  end
end
reply[1] = table.concat(before)
reply[2] = table.concat(statuses)
return reply
