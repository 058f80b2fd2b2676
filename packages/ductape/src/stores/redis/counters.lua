-- Counters as tables with the fields of decide/counter.ts. A part of apply.lua.

-- Places of the changed counters. In `counters` an entry is nil until it is read, and false if
-- nothing was ever counted.
local dirty = {}
local pairFormats = {}

local function pairFormat(count)
  local format = pairFormats[count]
  if not format then
    format = '<' .. string.rep('d', count)
    pairFormats[count] = format
  end
  return format
end

local function limitOf(number)
  if number >= 0 then return number end
end

local function readLast(text, from)
  local startMs, endMs, used, limit = unpackText('<dddd', text, from)
  return { window = { startMs = startMs, endMs = endMs }, used = used, limit = limitOf(limit) }
end

-- Returns the place after them, too.
local function readHolds(text, from)
  local sum, firstMs, edition, count = unpackText('<dddd', text, from)
  local length = 3 * count
  local parts = { unpackText(pairFormat(length), text, from + 32) }
  -- The last value is the end of the text.
  parts[length + 1] = nil
  return { sum = sum, firstMs = firstMs, edition = edition, parts = parts }, from + 32 + 8 * length
end

local function readCounter(place)
  local text = stored[place]
  if not text then
    counters[place] = false
    return nil
  end
  --@ unpack counter
  local entries, last, holds
  local isRolling = form < 0
  if isRolling then form = -form end
  local lists, from = form % 1, LAST_AT
  form = floor(form)
  -- A counter that has only counted since is stored without its lists.
  local listed = #text >= LAST_AT and text or before[place + 1]
  if lists % REMEMBERS ~= 0 then holds, from = readHolds(listed, from) end
  if isRolling then
    local count = 2 * unpackText('<d', listed, from)
    entries = { unpackText(pairFormat(count), listed, from + 8) }
    entries[count + 1] = nil
  elseif lists >= REMEMBERS then last = readLast(listed, from) end
  local counter = {
    --@ counter fields
    windowVersion = form, entries = entries, last = last, holds = holds,
  }
  counters[place] = counter
  return counter
end

local function counterText(counter)
  local version, entries, last = counter.windowVersion, counter.entries, counter.last
  local holds = counter.holds
  if holds then version = version + HOLDS end
  local form = entries and -version or last and version + REMEMBERS or version
  --@ pack counter
  if holds then
    local parts = holds.parts
    local length = #parts
    text = text .. pack('<dddd', holds.sum, holds.firstMs, holds.edition, length / 3)
    if length > 0 then text = text .. pack(pairFormat(length), unpack(parts)) end
  end
  if entries then
    local count = #entries
    return text .. pack(pairFormat(count + 1), count / 2, unpack(entries))
  end
  if not last then return text end
  local startMs, endMs = last.window.startMs, last.window.endMs
  return text .. pack('<dddd', startMs, endMs, last.used, last.limit or UNLIMITED)
end

local function writeCounters()
  for place in pairs(dirty) do
    stored[place] = counterText(counters[place])
    changes[place] = CHANGED
  end
end

-- The counters that apply() reads and changes.
local known = {}

function known:find(check)
  local counter = counters[check.place]
  if counter == nil then return readCounter(check.place) end
  return counter or nil
end

function known:put(check, counter)
  counters[check.place] = counter
  dirty[check.place] = true
end

function known:changed(check) dirty[check.place] = true end

local function copyOf(counter)
  local copy = {}
  for name, value in pairs(counter) do copy[name] = value end
  if counter.entries then copy.entries = { unpack(counter.entries) } end
  return copy
end

local function draftOf(base)
  local copies, copiedHolds = {}, {}
  local draft = { findAnswer = base.findAnswer, putAnswer = base.putAnswer }
  function draft:findHold(key)
    local copied = copiedHolds[key.place]
    if copied then return copied.hold end
    return base:findHold(key)
  end
  function draft:putHold(key, hold) copiedHolds[key.place] = { key = key, hold = hold } end
  function draft:find(check)
    if copies[check.place] then return copies[check.place] end
    local counter = base:find(check)
    return counter and copyOf(counter)
  end
  function draft:put(check, counter) copies[check.place] = counter end
  draft.changed = draft.put
  function draft:commit()
    for place, counter in pairs(copies) do base:put({ place = place }, counter) end
    for _, copied in pairs(copiedHolds) do base:putHold(copied.key, copied.hold) end
  end
  return draft
end
