-- Reads and writes documents, all in one slot.
--
-- KEYS     1 texts (hash: key -> text), 2 changes (sorted set: watched key by its sequence),
--          3 unwatched (sorted set: key, all of score 0, so ordered by bytes), 4 expiries (sorted
--          set: key by its expiry, epoch milliseconds), 5 the last sequence, 6 forgotten (set of
--          prefixes of spaces)
-- ARGV[1]  now in epoch milliseconds; 0: the clock of this server
-- ARGV[2]  the operation; ARGV[3] and on: its arguments
--          changes  sequence         -> { now, lineage, sequence, key, text, ... }
--          get      key              -> { now, text or nil }
--          list     folder, after, limit -> { now, key, text, ... }
--          write    channel, number of writes, for each: key, ifRevision, what (check, set,
--                   delete), value, expiry ('': none), watched (1 or 0); prefixes to forget
--                                    -> { now, key of the first write whose revision is another }
--          load     number, for each: key, revision, value, expiry, watched
--
-- A text is 4 doubles: revision, sequence (0: unwatched), expiry (-1: none), 1 for a deleted one;
-- then the value. Atomic like every script: all revisions are checked before the first write.
-- A lineage names a history of this server; a different one may lack the end of the earlier one.

local DROPS_PER_WRITE = 2
local LIST_PIECE = 100

local texts, changes, unwatched, expiries = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local lastSequence, forgotten = KEYS[5], KEYS[6]

local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local function whole(number) return string.format('%.0f', number) end

-- A document that is neither deleted nor expired; nil: none.
local function live(key)
  local text = redis.call('HGET', texts, key)
  if not text then return nil end
  local revision, _, expiresMs, isDeleted = struct.unpack('<dddd', text)
  if isDeleted == 1 or (expiresMs >= 0 and expiresMs <= now) then return nil end
  return text, revision
end

local function remove(key)
  redis.call('HDEL', texts, key)
  redis.call('ZREM', changes, key)
  redis.call('ZREM', unwatched, key)
  redis.call('ZREM', expiries, key)
end

local function put(key, value, expiresMs, isWatched, isDeleted, sequence, givenRevision)
  local text = redis.call('HGET', texts, key)
  local revision = givenRevision or 1
  if text and not givenRevision then revision = struct.unpack('<d', text) + 1 end
  remove(key)
  if isDeleted and not isWatched then return end
  local head = struct.pack('<dddd', revision, isWatched and sequence or 0, expiresMs,
    isDeleted and 1 or 0)
  redis.call('HSET', texts, key, head .. value)
  if isWatched then redis.call('ZADD', changes, whole(sequence), key)
  else redis.call('ZADD', unwatched, 0, key) end
  if expiresMs >= 0 then redis.call('ZADD', expiries, whole(expiresMs), key) end
end

local function dropExpired(count)
  local keys = redis.call('ZRANGEBYSCORE', expiries, '-inf', whole(now), 'LIMIT', 0, count)
  for _, key in ipairs(keys) do remove(key) end
end

local function lineage()
  local info = redis.pcall('INFO', 'replication')
  return type(info) == 'string' and string.match(info, 'master_replid:(%x+)') or ''
end

local reply = { whole(now) }

local function tell(key, text)
  reply[#reply + 1] = key
  reply[#reply + 1] = text
end

local operations = {}

function operations.changes()
  local sequence = redis.call('GET', lastSequence) or '0'
  reply[2] = lineage()
  reply[3] = sequence
  if tonumber(sequence) == tonumber(ARGV[3]) then return end
  local keys = redis.call('ZRANGEBYSCORE', changes, '(' .. ARGV[3], '+inf')
  for _, key in ipairs(keys) do
    local text = redis.call('HGET', texts, key)
    local _, _, expiresMs = struct.unpack('<ddd', text)
    if expiresMs < 0 or expiresMs > now then tell(key, text) end
  end
end

function operations.get()
  reply[2] = live(ARGV[3]) or false
end

function operations.list()
  local folder, after, limit = ARGV[3], ARGV[4], tonumber(ARGV[5])
  local from = after == '' and '[' .. folder or '(' .. after
  -- No UTF-8 text contains this byte.
  local to = '(' .. folder .. string.char(255)
  local count = 0
  while count < limit do
    local keys = redis.call('ZRANGEBYLEX', unwatched, from, to, 'LIMIT', 0, LIST_PIECE)
    for _, key in ipairs(keys) do
      local text = live(key)
      if text and count < limit then
        tell(key, text)
        count = count + 1
      end
    end
    if #keys < LIST_PIECE then return end
    from = '(' .. keys[#keys]
  end
end

function operations.write()
  local channel, count = ARGV[3], tonumber(ARGV[4])
  local isChange = false
  for i = 0, count - 1 do
    local at = 5 + 6 * i
    local _, revision = live(ARGV[at])
    if (revision or 0) ~= tonumber(ARGV[at + 1]) then
      reply[2] = ARGV[at]
      return
    end
    if ARGV[at + 5] == '1' then isChange = true end
  end
  local sequence = 0
  if isChange then sequence = redis.call('INCR', lastSequence) end
  for i = 0, count - 1 do
    local at = 5 + 6 * i
    local key, what, value, expiry = ARGV[at], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
    if what ~= 'check' then
      put(key, value, tonumber(expiry) or -1, ARGV[at + 5] == '1', what == 'delete', sequence)
    end
  end
  for i = 5 + 6 * count, #ARGV do redis.call('SADD', forgotten, ARGV[i]) end
  if count > 0 then dropExpired(count * DROPS_PER_WRITE) end
  -- Without the right to publish, others find the change at their next poll.
  if isChange then redis.pcall('PUBLISH', channel, whole(sequence)) end
end

function operations.load()
  local sequence = redis.call('INCR', lastSequence)
  for i = 0, tonumber(ARGV[3]) - 1 do
    local at = 4 + 5 * i
    local expiresMs, isWatched = tonumber(ARGV[at + 3]) or -1, ARGV[at + 4] == '1'
    put(ARGV[at], ARGV[at + 2], expiresMs, isWatched, false, sequence, tonumber(ARGV[at + 1]))
  end
end

operations[ARGV[2]]()
return reply
