-- Every plan, decided by decide/apply.ts, whose Lua translation replaces the line `decide`. A part
-- of apply.lua.
-- Returns two functions: one decides the plan at a place of the request and returns the place of
-- the next one; the other hands over everything that was changed.

local CHANGED = 1
local LAST_AT = 65
-- Added to the version of a counter that remembers the window before its own.
local REMEMBERS = 0.5
-- Added to the version of a counter that knows holds.
local HOLDS = 0.25
-- An unknown limit, and no limit.
local UNKNOWN, UNLIMITED = -2, -1

local floor, max = math.floor, math.max
local pack, unpackText = struct.pack, struct.unpack

--@ include counters.lua
--@ include answers.lua
local function nonEmpty(items) return items end

-- What holds alone need is made when a plan has one.
local decideHold, isHoldStale
local writeHolds = nil

--@ decide apply with draftOf replayOf keptAnswer answerText nonEmpty decideHold isHoldStale

local function knowHolds()
  --@ include holds.lua
  --@ decide decideHold isHoldStale after apply with repeatOf repeatIf keptAnswer nonEmpty
  return decideHold, isHoldStale, writeHolds
end

--@ include request.lua

local function decidePlan(from)
  at = from
  local plan = {}
  local isLast
  repeat plan[#plan + 1], isLast = readStep() until isLast
  local outcome = apply(known, plan, now)
  local count = #statuses
  for i = 1, #plan do
    statuses[count + i] = outcome == 'stale' and STALE or STATUS_NUMBERS[outcome[i].status]
  end
  return at
end

local function finish()
  writeCounters()
  writeAnswers()
  if writeHolds then writeHolds() end
end

return decidePlan, finish
