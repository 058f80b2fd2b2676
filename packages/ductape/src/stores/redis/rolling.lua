-- Rolling windows: the port of rolling.ts. Entries are pairs (instant, amount), oldest first.
-- A part of apply.lua.

local ROLLING_ENTRIES_MAX = 64
local ROLLING_PARTS = 60

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

local function joinTwo(entries, count, periodMs)
  local partMs = max(1, floor(periodMs / ROLLING_PARTS))
  local best, leastDelay = 0, math.huge
  local part = floor(entries[1] / partMs)
  for i = 1, count - 3, 2 do
    local nextMs = entries[i + 2]
    local nextPart = floor(nextMs / partMs)
    if part == nextPart then
      local delay = entries[i + 1] * (nextMs - entries[i])
      if delay < leastDelay then best, leastDelay = i, delay end
    end
    part = nextPart
  end
  if best == 0 then return end
  entries[best + 3] = entries[best + 3] + entries[best + 1]
  for i = best, count do entries[i] = entries[i + 2] end
end

local function addAmount(entries, amount, periodMs)
  local count = #entries
  if count > 0 and now <= entries[count - 1] then
    entries[count] = entries[count] + amount
    return
  end
  entries[count + 1] = now
  entries[count + 2] = amount
  count = count + 2
  if count > 2 * ROLLING_ENTRIES_MAX then joinTwo(entries, count, periodMs) end
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
