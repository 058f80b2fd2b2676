-- Holds, as texts of lines: see hold-record.ts. A part of apply.lua.

local HOLD_STATUSES = { 'open', 'committed', 'released' }
local HOLD_STATUS_NUMBERS = { open = 0, committed = 1, released = 2 }
local LINE = '([^' .. NEWLINE .. ']*)' .. NEWLINE
-- A clock that was set back may end or settle a hold before it was reserved.
local HOLD = '^(%d+),(-?%d+),(%d),(%d+),(%d+),(%d+),(-?%d*)' .. NEWLINE .. LINE .. LINE .. '(.*)$'
local PART = '(-?%d+),(-?%d+),(%d+),(-?%d+),(%d+)'
-- Open holds that have expired, taken from the lists for each that is reserved.
local EXPIRED_PER_HOLD = 2
local REMEMBERED_MS = 86400000
-- Holds as read or as they will be, by place; false: missing.
local holdRecords = {}
-- The keys of changed holds, by place.
local changedHolds = {}

-- The answer to its reserve, three lines, and the one to what settled it.
local function answersIn(text)
  local at = 0
  for _ = 1, 3 do
    at = string.find(text, NEWLINE, at + 1, true)
    if not at then return text, nil end
  end
  return string.sub(text, 1, at - 1), string.sub(text, at + 1)
end

local function readHold(text)
  local openedMs, ttl, status, held, charged, settled, settledAfter, partTexts, owners, answers =
    string.match(text, HOLD)
  openedMs = tonumber(openedMs)
  local parts = {}
  for before, after, version, ends, edition in string.gmatch(partTexts, PART) do
    parts[#parts + 1] = {
      window = { startMs = openedMs - before, endMs = openedMs + after },
      windowVersion = tonumber(version), endMs = openedMs + ends, edition = tonumber(edition),
    }
  end
  local reserved, settlement = answersIn(answers)
  return {
    owners = owners, openedMs = openedMs, expiresMs = openedMs + ttl,
    status = HOLD_STATUSES[status + 1], held = tonumber(held), charged = tonumber(charged),
    settled = tonumber(settled),
    settledMs = settledAfter == '' and 0 or openedMs + settledAfter, parts = parts,
    reserved = reserved, settlement = settlement,
  }
end

local function holdText(hold)
  local openedMs, settledMs = hold.openedMs, hold.settledMs
  local parts = {}
  for i, part in ipairs(hold.parts) do
    local window = part.window
    parts[i] = format(
      '%.0f,%.0f,%.0f,%.0f,%.0f', openedMs - window.startMs, window.endMs - openedMs,
      part.windowVersion, part.endMs - openedMs, part.edition
    )
  end
  local head = format(
    '%.0f,%.0f,%d,%.0f,%.0f,%.0f,', openedMs, hold.expiresMs - openedMs,
    HOLD_STATUS_NUMBERS[hold.status], hold.held, hold.charged, hold.settled
  )
  if settledMs ~= 0 then head = format('%s%.0f', head, settledMs - openedMs) end
  local lines = { head, table.concat(parts, ';'), hold.owners, hold.reserved, hold.settlement }
  return table.concat(lines, NEWLINE)
end

function known:findHold(key)
  local place = key.place
  local hold = holdRecords[place]
  if hold == nil then
    local text = stored[place]
    hold = text and readHold(text)
    holdRecords[place] = hold
  end
  return hold or nil
end

function known:putHold(key, hold)
  holdRecords[key.place] = hold
  changedHolds[key.place] = key
end

-- Drops holds that have expired from the lists of open ones, a few at a time.
local function dropExpired(key)
  local ended =
    redis.call('ZRANGEBYSCORE', KEYS[key.endsPlace], '-inf', now, 'LIMIT', 0, EXPIRED_PER_HOLD)
  if #ended > 0 then
    redis.call('ZREM', KEYS[key.endsPlace], unpack(ended))
    redis.call('ZREM', KEYS[key.openPlace], unpack(ended))
  end
end

local function writeHolds()
  for place, key in pairs(changedHolds) do
    local hold = holdRecords[place]
    stored[place] = holdText(hold)
    local settledMs, expiresMs = hold.settledMs, hold.expiresMs
    local untilMs = (settledMs == 0 and expiresMs or settledMs) + REMEMBERED_MS
    if isGivenClock then redis.call('SET', KEYS[place], stored[place])
    else redis.call('SET', KEYS[place], stored[place], 'PXAT', format('%.0f', untilMs)) end
    if hold.status == 'open' then
      dropExpired(key)
      redis.call('ZADD', KEYS[key.openPlace], hold.openedMs, key.name)
      redis.call('ZADD', KEYS[key.endsPlace], expiresMs, key.name)
    else
      redis.call('ZREM', KEYS[key.openPlace], key.name)
      redis.call('ZREM', KEYS[key.endsPlace], key.name)
    end
  end
end
