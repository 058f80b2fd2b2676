-- Holds, as texts of lines: see hold-record.ts. A part of apply.lua.

local HOLD_STATUSES = { 'open', 'committed', 'released' }
local HOLD_STATUS_NUMBERS = { open = '0', committed = '1', released = '2' }
local HOLD_LINES =
  '^([^' .. NEWLINE .. ']*)' .. NEWLINE .. '([^' .. NEWLINE .. ']*)' .. NEWLINE ..
  '([^' .. NEWLINE .. ']*)' .. NEWLINE .. '(.*)$'
local ANSWER_LINES =
  '^([^' .. NEWLINE .. ']*' .. NEWLINE .. '[^' .. NEWLINE .. ']*' .. NEWLINE ..
  '[^' .. NEWLINE .. ']*)' .. NEWLINE .. '?(.*)$'
-- Open holds that have expired, taken from the lists for each that is reserved.
local EXPIRED_PER_HOLD = 2
local REMEMBERED_MS = 86400000
-- Holds as read or as they will be, by place; false: there is none.
local holdRecords = {}
-- The keys of changed holds, by place.
local changedHolds = {}

local function holdNumbers(text)
  local numbers = {}
  for number in string.gmatch(text, '-?%d+') do numbers[#numbers + 1] = tonumber(number) end
  return numbers
end

local function readHold(text)
  local head, partTexts, owners, answers = string.match(text, HOLD_LINES)
  local numbers = holdNumbers(head)
  local openedMs = numbers[1]
  local parts = {}
  for partText in string.gmatch(partTexts, '[^;]+') do
    local n = holdNumbers(partText)
    parts[#parts + 1] = {
      window = { startMs = openedMs - n[1], endMs = openedMs + n[2] },
      windowVersion = n[3], endMs = openedMs + n[4], edition = n[5],
    }
  end
  local reserved, settlement = string.match(answers, ANSWER_LINES)
  return {
    owners = owners, openedMs = openedMs, expiresMs = openedMs + numbers[2],
    status = HOLD_STATUSES[numbers[3] + 1], held = numbers[4], charged = numbers[5],
    settled = numbers[6], settledMs = numbers[7] and openedMs + numbers[7] or 0, parts = parts,
    reserved = reserved, settlement = settlement ~= '' and settlement or nil,
  }
end

local function holdText(hold)
  local openedMs, settledMs = hold.openedMs, hold.settledMs
  local head = {
    digits(openedMs), digits(hold.expiresMs - openedMs), HOLD_STATUS_NUMBERS[hold.status],
    digits(hold.held), digits(hold.charged), digits(hold.settled),
    settledMs == 0 and '' or digits(settledMs - openedMs),
  }
  local parts = {}
  for i, part in ipairs(hold.parts) do
    local window = part.window
    parts[i] = table.concat({
      digits(openedMs - window.startMs), digits(window.endMs - openedMs),
      digits(part.windowVersion), digits(part.endMs - openedMs), digits(part.edition),
    }, ',')
  end
  local lines = {
    table.concat(head, ','), table.concat(parts, ';'), hold.owners, hold.reserved, hold.settlement,
  }
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
    else redis.call('SET', KEYS[place], stored[place], 'PXAT', digits(untilMs)) end
    if hold.status == 'open' then
      dropExpired(key)
      redis.call('ZADD', KEYS[key.openPlace], digits(hold.openedMs), key.name)
      redis.call('ZADD', KEYS[key.endsPlace], digits(expiresMs), key.name)
    else
      redis.call('ZREM', KEYS[key.openPlace], key.name)
      redis.call('ZREM', KEYS[key.endsPlace], key.name)
    end
  end
end
