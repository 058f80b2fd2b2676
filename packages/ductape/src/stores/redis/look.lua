-- What a leg would be after its action, and writing it: the port of the second half of apply.ts.
-- A part of apply.lua.

-- The legs of the step at hand, by number: what each asks, and what look() finds.
local places, kinds, speaks, cells = {}, {}, {}, {}
local startsMs, endsMs, useds, granteds, previous = {}, {}, {}, {}, {}
local admits, inTheWays, alertedFroms, alerteds = {}, {}, {}, {}
local leavesMs, fitMs = {}, {}
local legCount = 0
-- Only an answer that is kept tells when a rolling window has room again.
local tellsRolling = false

-- These speak of the window of now, wherever the counter stands.
local function entersNow(action) return action == RESET or action == SET end

local function isStale(cell, kind, enters)
  if cell and cell.shape > kind.shape then return true end
  if kind.rollingMs ~= 0 then return false end
  if now < kind.endMs and now >= kind.startMs then return false end
  if enters or not cell or cell.shape ~= kind.shape then return true end
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
      local goesOn = now < cell.endMs
      if now < cell.startMs and entersNow(action) then previousUsed = cell.used
      elseif goesOn or cell.startMs >= startMs then
        if goesOn then startMs, endMs = cell.startMs, cell.endMs end
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
    local lifted = granteds[leg]
    if action == GRANT and speaks[leg] then lifted = lifted + max(0, kinds[leg].limit) end
    if not admits[leg] then status = DENIED
    elseif status == DONE and (useds[leg] > AMOUNT_MAX or lifted > AMOUNT_MAX) then
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
  cell.lastUsed = nil
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

local function remember(cell, startMs, endMs, used, limit)
  cell.lastStartMs, cell.lastEndMs, cell.lastUsed, cell.lastLimit = startMs, endMs, used, limit
end

-- What a counter remembers in the window it comes into: only what ended before that begins.
local function rememberLast(cell, leg, kind)
  if not kind.remembers then return remember(cell, nil, nil, nil, nil) end
  if cell.entries or cell.endMs > startsMs[leg] then
    if cell.lastUsed and cell.lastEndMs <= startsMs[leg] then return end
  elseif cell.used > 0 then
    local limit = cell.planned == UNKNOWN and kind.limit or cell.planned
    if limit >= 0 and cell.granted ~= 0 then limit = min(AMOUNT_MAX, limit + cell.granted) end
    return remember(cell, cell.startMs, cell.endMs, cell.used, limit)
  end
  remember(cell, 0, 0, 0, -1)
end

local function enterWindow(cell, leg, kind)
  rememberLast(cell, leg, kind)
  cell.entries = false
  cell.startMs = startsMs[leg]
  cell.endMs = endsMs[leg]
end

local function isInWindow(cell, leg, kind)
  return cell.shape == kind.shape and cell.startMs == startsMs[leg] and cell.endMs == endsMs[leg]
end

local function write(action, amount)
  if amount == 0 and action == INCREMENT then return end
  for leg = 1, legCount do
    if speaks[leg] then
      local kind, known = kinds[leg], cells[leg]
      local cell = known
        or { shape = kind.shape, startMs = startsMs[leg], endMs = endsMs[leg], used = 0,
             planned = UNKNOWN, entries = false }
      if kind.rollingMs ~= 0 then writeRolling(cell, leg, kind, action, amount)
      elseif not isInWindow(cell, leg, kind) then enterWindow(cell, leg, kind)
      elseif kind.remembers and not cell.lastUsed then remember(cell, 0, 0, 0, -1) end
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
