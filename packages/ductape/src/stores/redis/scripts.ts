// Written by embed.ts from the scripts beside it: change those, then `npm run embed`.

/** What apply.lua is to the server. */
export const APPLY_SCRIPT = `local AMOUNT_MAX = 9007199254740991 local FOREVER_MS = 8640000000000000
local PAST_GRACE_MIN_MS = 60000 local PAST_GRACE_MAX_MS = 86400000 local KEYS_PER_CALL = 4000
local UNKNOWN = -2 local CHECK, INCREMENT = 0, 1 local DONE, DENIED, OVERFLOW, STALE = 0, 1, 3, 5
local CHANGED, COUNTED = 1, 2 local LAST_AT = 65
local floor, min, max = math.floor, math.min, math.max
local pack, unpackText = struct.pack, struct.unpack local now = tonumber(ARGV[1])
local isGivenClock = now ~= 0 if not isGivenClock then local time = redis.call('TIME')
now = time[1] * 1000 + floor(time[2] / 1000) end local counterCount = tonumber(ARGV[2])
local request = cjson.decode(ARGV[3]) local stored = {} for from = 1, #KEYS, KEYS_PER_CALL do
local values = redis.call('MGET', unpack(KEYS, from, min(from + KEYS_PER_CALL - 1, #KEYS)))
if from == 1 then stored = values else for i = 1, #values do stored[from + i - 1] = values[i] end
end end local told = {} local NONE = pack('<d', 0) local NOTHING = pack('<dddd', 0, 0, 0, -1)
local before = { pack('<d', now) }
for place = 1, counterCount do before[place + 1] = stored[place] or NONE end
told[1] = table.concat(before)
for place = counterCount + 1, #KEYS do told[place - counterCount + 2] = stored[place] end
local changes = {} local counters = {} local statuses = {} local function general(
now, isGivenClock, counterCount, request, stored, before, changes, counters, statuses )
local AMOUNT_MAX = 9007199254740991
local CHECK, INCREMENT, DECREMENT, SET, RESET, GRANT = 0, 1, 2, 3, 4, 5
local DONE, DENIED, WITHHELD, OVERFLOW, CONFLICT, STALE = 0, 1, 2, 3, 4, 5 local CHANGED = 1
local LAST_AT = 65 local REMEMBERS = 0.5 local UNKNOWN = -2
local floor, min, max = math.floor, math.min, math.max
local pack, unpackText = struct.pack, struct.unpack local at = 0 local dirty = {}
local draft = nil local pairFormats = {} local function pairFormat(count)
local format = pairFormats[count] if not format then format = '<' .. string.rep('d', count)
pairFormats[count] = format end return format end local function readCounter(place)
local text = stored[place] if not text then counters[place] = false return false end
local shape, startMs, endMs, used, granted, alerted, seenMs, planned =
unpackText('<dddddddd', text) local cell = {
shape = shape, startMs = startMs, endMs = endMs, used = used, granted = granted,
alerted = alerted, seenMs = seenMs, planned = planned, entries = false, } if shape % 1 ~= 0 then
cell.shape = floor(shape) local whole = #text >= LAST_AT and text or before[place + 1]
cell.lastStartMs, cell.lastEndMs, cell.lastUsed, cell.lastLimit =
unpackText('<dddd', whole, LAST_AT) end if shape < 0 then cell.shape = -shape
local count = 2 * unpackText('<d', text, 65)
cell.entries = { unpackText(pairFormat(count), text, 73) } cell.entries[count + 1] = nil end
counters[place] = cell return cell end local function copyOf(cell) local copy = {}
for name, value in pairs(cell) do copy[name] = value end if cell.entries then local entries = {}
for i = 1, #cell.entries do entries[i] = cell.entries[i] end copy.entries = entries end
return copy end local function getBase(place) local cell = counters[place]
if cell == nil then return readCounter(place) end return cell end local function get(place)
if not draft then return getBase(place) end local cell = draft[place] if cell then return cell end
cell = getBase(place) return cell and copyOf(cell) end local function put(place, cell)
if draft then draft[place] = cell return end counters[place] = cell dirty[place] = true end
local ROLLING_ENTRIES_MAX = 64 local ROLLING_PARTS = 60 local function liveSum(entries, leftMs)
local sum = 0 for i = #entries - 1, 1, -2 do
if entries[i] > leftMs then sum = sum + entries[i + 1] end end return sum end
local function oldestLeavesMs(entries, periodMs) for i = 1, #entries, 2 do
if entries[i] > now - periodMs then return entries[i] + periodMs end end return now end
local function fitsMs(entries, room, periodMs) if room < 0 then return -1 end
local left = liveSum(entries, now - periodMs) for i = 1, #entries, 2 do local atMs = entries[i]
if atMs > now - periodMs then left = left - entries[i + 1]
if left <= room then return atMs + periodMs end end end return now + periodMs end
local function dropLeft(entries, leftMs) local count = #entries local gone = 0
while gone < count and entries[gone + 1] <= leftMs do gone = gone + 2 end
if gone == 0 then return end for i = 1, count do entries[i] = entries[i + gone] end end
local function joinTwo(entries, count, periodMs)
local partMs = max(1, floor(periodMs / ROLLING_PARTS)) local best, leastDelay = 0, math.huge
local part = floor(entries[1] / partMs) for i = 1, count - 3, 2 do local nextMs = entries[i + 2]
local nextPart = floor(nextMs / partMs) if part == nextPart then
local delay = entries[i + 1] * (nextMs - entries[i])
if delay < leastDelay then best, leastDelay = i, delay end end part = nextPart end
if best == 0 then return end entries[best + 3] = entries[best + 3] + entries[best + 1]
for i = best, count do entries[i] = entries[i + 2] end end
local function addAmount(entries, amount, periodMs) local count = #entries
if count > 0 and now <= entries[count - 1] then entries[count] = entries[count] + amount return
end entries[count + 1] = now entries[count + 2] = amount count = count + 2
if count > 2 * ROLLING_ENTRIES_MAX then joinTwo(entries, count, periodMs) end end
local function takeNewest(entries, amount) local rest = amount local count = #entries
while rest > 0 and count > 0 do local newest = entries[count] if newest > rest then
entries[count] = newest - rest return end rest = rest - newest entries[count] = nil
entries[count - 1] = nil count = count - 2 end end
local places, kinds, speaks, cells = {}, {}, {}, {}
local startsMs, endsMs, useds, granteds, previous = {}, {}, {}, {}, {}
local admits, inTheWays, alertedFroms, alerteds = {}, {}, {}, {} local leavesMs, fitMs = {}, {}
local legCount = 0 local tellsRolling = false
local function entersNow(action) return action == RESET or action == SET end
local function isStale(cell, kind, enters)
if cell and cell.shape > kind.shape then return true end
if kind.rollingMs ~= 0 then return false end
if now < kind.endMs and now >= kind.startMs then return false end
if enters or not cell or cell.shape ~= kind.shape then return true end
return now >= cell.startMs or kind.startMs > cell.startMs end local function usedAt(cell, atMs)
if not cell.entries then return atMs < cell.endMs and cell.used or 0 end
return liveSum(cell.entries, atMs - (cell.endMs - cell.startMs)) end
local function carried(cell, kind) local atMs = min(kind.shapedMs, now) local isPast
if kind.rollingMs == 0 then isPast = atMs < kind.startMs
else isPast = atMs <= now - kind.rollingMs end if isPast then return 0 end
return usedAt(cell, atMs) end local function shareOf(limit, fraction)
local share = limit * fraction local near = floor(share)
if share - near >= 0.5 then near = near + 1 end
if math.abs(share - near) <= near * 2 ^ -51 then return near end return math.ceil(share) end
local function alertedAfter(alerts, action, amount, used, limit, from)
if action ~= INCREMENT and action ~= SET then return from end
if used == 0 or (action == INCREMENT and amount == 0) then return from end local reached = from
for i = 1, #alerts do local fraction = alerts[i]
if fraction > reached and used >= shareOf(limit, fraction) then reached = fraction end end
return reached end local function usedAfter(action, used, amount)
if action == INCREMENT then return used + amount end
if action == DECREMENT then return used > amount and used - amount or 0 end
if action == SET then return amount end return action == RESET and 0 or used end
local function fill(leg, kind, action, amount, previousUsed, granted, alertedFrom)
local limit = kind.limit
if limit >= 0 and granted ~= 0 then limit = min(AMOUNT_MAX, limit + granted) end
local asks = amount ~= 0 and (action == INCREMENT or action == CHECK)
local inTheWay = asks and limit >= 0 and previousUsed + amount > limit
local used = usedAfter(action, previousUsed, amount) previous[leg] = previousUsed
granteds[leg] = granted useds[leg] = used inTheWays[leg] = inTheWay
admits[leg] = not inTheWay or kind.isSoft alertedFroms[leg] = alertedFrom
if limit < 0 or #kind.alerts == 0 then alerteds[leg] = alertedFrom else
alerteds[leg] = alertedAfter(kind.alerts, action, amount, used, limit, alertedFrom) end end
local function rollingEntries(cell, kind)
if cell.shape == kind.shape and cell.entries then return cell.entries end
local used = carried(cell, kind) if used == 0 then return {} end
return { min(kind.shapedMs, now), used } end
local function lookRolling(leg, kind, cell, action, amount) local periodMs = kind.rollingMs
local entries = cell and rollingEntries(cell, kind) or {}
local previousUsed = liveSum(entries, now - periodMs)
local isArmed = not cell or previousUsed == 0 or action == RESET startsMs[leg] = now - periodMs
endsMs[leg] = now local granted = action == GRANT and amount or 0
fill(leg, kind, action, amount, previousUsed, granted, isArmed and 0 or cell.alerted)
if not tellsRolling then return end leavesMs[leg] = oldestLeavesMs(entries, periodMs)
if inTheWays[leg] and kind.limit >= 0 then
fitMs[leg] = fitsMs(entries, kind.limit - amount, periodMs) else fitMs[leg] = now end end
local function look(leg, action, amount) local kind, cell = kinds[leg], cells[leg]
if kind.rollingMs ~= 0 then return lookRolling(leg, kind, cell, action, amount) end
local startMs, endMs = kind.startMs, kind.endMs local previousUsed, granted, alertedFrom = 0, 0, 0
if cell then if cell.shape == kind.shape then local goesOn = now < cell.endMs
if now < cell.startMs and entersNow(action) then previousUsed = cell.used
elseif goesOn or cell.startMs >= startMs then
if goesOn then startMs, endMs = cell.startMs, cell.endMs end
previousUsed, granted, alertedFrom = cell.used, cell.granted, cell.alerted end else
previousUsed = carried(cell, kind) if previousUsed ~= 0 then alertedFrom = cell.alerted end end
end if action == GRANT then granted = granted + amount end startsMs[leg] = startMs
endsMs[leg] = endMs if action == RESET then alertedFrom = 0 end
fill(leg, kind, action, amount, previousUsed, granted, alertedFrom) end
local function lookAll(action, amount) local status = DONE for leg = 1, legCount do
if speaks[leg] then look(leg, action, amount) else look(leg, CHECK, 0) end
local lifted = granteds[leg]
if action == GRANT and speaks[leg] then lifted = lifted + max(0, kinds[leg].limit) end
if not admits[leg] then status = DENIED
elseif status == DONE and (useds[leg] > AMOUNT_MAX or lifted > AMOUNT_MAX) then status = OVERFLOW
end end return status end local function writeRolling(cell, leg, kind, action, amount)
local periodMs = kind.rollingMs local entries if action == RESET then entries = {}
elseif action == SET then entries = amount == 0 and {} or { now, amount } else
entries = rollingEntries(cell, kind) dropLeft(entries, now - periodMs)
if action == INCREMENT then addAmount(entries, amount, periodMs) end
if action == DECREMENT then takeNewest(entries, amount) end end cell.lastUsed = nil
cell.entries = entries cell.startMs = now
cell.endMs = max(now, entries[#entries - 1] or now) + periodMs if tellsRolling then
leavesMs[leg] = oldestLeavesMs(entries, periodMs) fitMs[leg] = now end end
local function tellsPlan(kind, action)
return kind.byPlan == 2 or kind.byPlan == 1 and action == INCREMENT end
local function remember(cell, startMs, endMs, used, limit)
cell.lastStartMs, cell.lastEndMs, cell.lastUsed, cell.lastLimit = startMs, endMs, used, limit end
local function rememberLast(cell, leg, kind)
if not kind.remembers then return remember(cell, nil, nil, nil, nil) end
if cell.entries or cell.endMs > startsMs[leg] then
if cell.lastUsed and cell.lastEndMs <= startsMs[leg] then return end elseif cell.used > 0 then
local limit = cell.planned == UNKNOWN and kind.limit or cell.planned
if limit >= 0 and cell.granted ~= 0 then limit = min(AMOUNT_MAX, limit + cell.granted) end
return remember(cell, cell.startMs, cell.endMs, cell.used, limit) end remember(cell, 0, 0, 0, -1)
end local function enterWindow(cell, leg, kind) rememberLast(cell, leg, kind) cell.entries = false
cell.startMs = startsMs[leg] cell.endMs = endsMs[leg] end
local function isInWindow(cell, leg, kind)
return cell.shape == kind.shape and cell.startMs == startsMs[leg] and cell.endMs == endsMs[leg]
end local function write(action, amount) if amount == 0 and action == INCREMENT then return end
for leg = 1, legCount do if speaks[leg] then local kind, known = kinds[leg], cells[leg]
local cell = known
or { shape = kind.shape, startMs = startsMs[leg], endMs = endsMs[leg], used = 0,
planned = UNKNOWN, entries = false }
if kind.rollingMs ~= 0 then writeRolling(cell, leg, kind, action, amount)
elseif not isInWindow(cell, leg, kind) then enterWindow(cell, leg, kind)
elseif kind.remembers and not cell.lastUsed then remember(cell, 0, 0, 0, -1) end
cell.shape = kind.shape cell.used = useds[leg] cell.granted = granteds[leg]
cell.alerted = alerteds[leg] cell.seenMs = now
if tellsPlan(kind, action) then cell.planned = kind.limit end put(places[leg], cell) end end end
local NEWLINE = string.char(10)
local HEAD = '^(%d+),(%d+),(%d)[^' .. NEWLINE .. ']*' .. NEWLINE .. '([^' .. NEWLINE .. ']*)'
local format = string.format local answers = {} local keptAnswers = {}
local function readOld(text)
local expiresMs, nowMs, status, legs, length = unpackText('<ddddd', text)
local from = 41 + 96 * legs return { expiresMs = expiresMs, nowMs = nowMs, status = status,
fingerprint = string.sub(text, from, from + length - 1), } end local function readText(text)
local nowMs, ttlMs, status, fingerprint = string.match(text, HEAD) return {
expiresMs = nowMs + ttlMs, nowMs = tonumber(nowMs), status = tonumber(status),
fingerprint = fingerprint, } end local function readAnswer(place) local answer = answers[place]
if answer ~= nil then return answer end local text = stored[place] if not text then answer = false
elseif string.byte(text) == 0 then answer = readOld(text) else answer = readText(text) end
answers[place] = answer return answer end local action, amount, isLast = CHECK, 0, true
local answerPlace, ttlMs, toldCount, fingerprint, facts = nil, 0, 0, '', ''
local function whole(number) if number == 0 then return '' end return format('%.0f', number) end
local function fraction(number) if number == 0 then return '' end return format('%.17g', number)
end local function legText(leg, status)
local used, alertedFrom, alerted = useds[leg], alertedFroms[leg], alerteds[leg]
if status ~= DONE then used, alerted = previous[leg], alertedFrom end
if alerted == alertedFrom then alertedFrom, alerted = 0, 0 end
local flags = (admits[leg] and 1 or 0) + (inTheWays[leg] and 2 or 0) local leaves, fits = '', ''
if kinds[leg].rollingMs ~= 0 then flags = flags + 4 leaves = whole(leavesMs[leg] - now)
fits = fitMs[leg] == -1 and 'n' or whole(fitMs[leg] - now) end local numbers = table.concat({
whole(now - startsMs[leg]), whole(endsMs[leg] - now), whole(used), whole(previous[leg]),
whole(flags), whole(granteds[leg]), fraction(alertedFrom), fraction(alerted), leaves, fits,
}, ',') return (string.gsub(numbers, ',+$', '')) end local function answerOf(status)
if status == OVERFLOW or status == CONFLICT then return nil end
local numbers = { whole(now) .. ',' .. whole(ttlMs) .. ',' .. format('%d', status) }
for leg = 1, toldCount do numbers[leg + 1] = legText(leg, status) end return {
expiresMs = now + ttlMs, status = status, fingerprint = fingerprint,
text = table.concat({ table.concat(numbers, ';'), fingerprint, facts }, NEWLINE), } end
local function keepAnswer(place, answer) answers[place] = answer keptAnswers[place] = answer end
local function keepAnswers() for place, answer in pairs(keptAnswers) do
if isGivenClock then redis.call('SET', KEYS[place], answer.text)
else redis.call('SET', KEYS[place], answer.text, 'PXAT', whole(answer.expiresMs)) end end end
local kindsRead = {} local function kindOf(place) local kind = kindsRead[place]
if kind then return kind end kind = {
shape = floor(request[place]), remembers = request[place] % 1 ~= 0,
shapedMs = request[place + 1], rollingMs = request[place + 2],
isSoft = request[place + 3] == 1, byPlan = request[place + 4],
startMs = request[place + 5], endMs = request[place + 6], limit = request[place + 7], alerts = {},
} for i = 1, request[place + 8] do kind.alerts[i] = request[place + 8 + i] end
kindsRead[place] = kind return kind end local function isAmount(value)
return type(value) == 'number' and value >= 0 and value <= AMOUNT_MAX and floor(value) == value
end local function readStep() action, amount = request[at], request[at + 1]
if not isAmount(amount) then error('an amount wants an integer from 0 to 2^53-1') end
local form = request[at + 2] at = at + 3 legCount = floor(form / 8) isLast = form % 2 == 0
local speaksToOne = form % 4 >= 2 for leg = 1, legCount do
kinds[leg], places[leg] = kindOf(request[at]), request[at + 1] at = at + 2 speaks[leg] = true
if speaksToOne then speaks[leg] = request[at] == 1 at = at + 1 end end
tellsRolling = form % 8 >= 4 if tellsRolling then
answerPlace, ttlMs, toldCount = counterCount + request[at], request[at + 1], request[at + 2]
fingerprint, facts = request[at + 3], request[at + 4] at = at + 5 else answerPlace = nil end end
local function decideStep() if answerPlace then local answer = readAnswer(answerPlace)
if answer and answer.expiresMs > now then
return answer.fingerprint == fingerprint and answer.status or CONFLICT, true end end
local status = lookAll(action, amount)
if status == DONE and action ~= CHECK then write(action, amount) end return status, false end
local function tell(status) statuses[#statuses + 1] = status end local function load(from)
at = from readStep() for leg = 1, legCount do cells[leg] = get(places[leg]) end end
local function decideAll(from, stepCount) local steps = {}
local areAllDone, isFaulty = true, false draft = {} for i = 1, stepCount do
local step = { from = from } load(from) from = at step.status, step.isReplayed = decideStep()
if step.status ~= DONE then areAllDone = false end
if step.status == OVERFLOW or step.status == CONFLICT then isFaulty = true end
if answerPlace and not step.isReplayed then
step.place, step.answer = answerPlace, answerOf(step.status) end steps[i] = step end
local drafted = draft draft = nil if areAllDone then
for place, cell in pairs(drafted) do put(place, cell) end end for i = 1, stepCount do
local step = steps[i] if not step.isReplayed then if not areAllDone and step.status == DONE then
step.status = WITHHELD load(step.from) lookAll(CHECK, amount)
if step.answer then step.answer = answerOf(WITHHELD) end end
if not isFaulty and step.answer then keepAnswer(step.place, step.answer) end end tell(step.status)
end at = from end local function decidePlan(from) at = from local stepCount = 0
local isPlanStale = false repeat readStep() stepCount = stepCount + 1 for leg = 1, legCount do
local cell = getBase(places[leg]) cells[leg] = cell
local enters = speaks[leg] and entersNow(action)
if isStale(cell, kinds[leg], enters) then isPlanStale = true end end until isLast
if isPlanStale then for _ = 1, stepCount do tell(STALE) end
elseif stepCount > 1 then decideAll(from, stepCount) else local status, isReplayed = decideStep()
if answerPlace and not isReplayed then local answer = answerOf(status)
if answer then keepAnswer(answerPlace, answer) end end tell(status) end return at end
local function finish() for place in pairs(dirty) do local cell = counters[place]
local entries = cell.entries local form = entries and -cell.shape or cell.shape
if cell.lastUsed then form = form + REMEMBERS end local text = pack(
'<dddddddd', form, cell.startMs, cell.endMs, cell.used,
cell.granted, cell.alerted, cell.seenMs, cell.planned ) if entries then local count = #entries
text = text .. pack(pairFormat(count + 1), count / 2, unpack(entries)) elseif cell.lastUsed then
text = text .. pack('<dddd', cell.lastStartMs, cell.lastEndMs, cell.lastUsed, cell.lastLimit) end
stored[place] = text changes[place] = CHANGED end keepAnswers() end return decidePlan, finish end
local decidePlan, finish local at = request[1] local requestEnd = #request
while at <= requestEnd do
local action, amount, kind, place = request[at], request[at + 1], request[at + 3], request[at + 4]
local status = nil
local isPlain = request[at + 2] == 8 and request[kind + 2] == 0 and request[kind + 8] == 0
if isPlain and action <= INCREMENT and counters[place] == nil then local text = stored[place]
local formNow, startMs, endMs = request[kind], request[kind + 5], request[kind + 6]
local isOutside = now >= endMs or now < startMs
local used, granted, alerted, planned = 0, 0, 0, UNKNOWN local change = CHANGED
local last = formNow % 1 == 0 and '' or NOTHING local isOfForm, isStale = true, isOutside
if text then local shape, sinceMs, untilMs, u, g, a, _, p = unpackText('<dddddddd', text)
isOfForm = shape == formNow isStale = isOutside and (now >= sinceMs or startMs > sinceMs)
planned = p if now < untilMs then
startMs, endMs, used, granted, alerted = sinceMs, untilMs, u, g, a
change = changes[place] or COUNTED if change == CHANGED then last = string.sub(text, LAST_AT) end
else if sinceMs >= startMs then used, granted, alerted = u, g, a end if last ~= '' then
isOfForm = isOfForm and untilMs <= startMs if u > 0 then
local ended = p == UNKNOWN and request[kind + 7] or p
if g ~= 0 and ended >= 0 then ended = min(AMOUNT_MAX, ended + g) end
last = pack('<dddd', sinceMs, untilMs, u, ended) end end end end local limit = request[kind + 7]
if granted ~= 0 and limit >= 0 then limit = min(AMOUNT_MAX, limit + granted) end
if isOfForm and amount >= 0 and amount <= AMOUNT_MAX and floor(amount) == amount then
if isStale then status = STALE
elseif limit >= 0 and amount ~= 0 and request[kind + 3] == 0 and used + amount > limit then
status = DENIED elseif action == CHECK or amount == 0 then status = DONE
elseif used + amount > AMOUNT_MAX then status = OVERFLOW else status = DONE
if request[kind + 4] > 0 then planned = request[kind + 7] end local counted = pack(
'<dddddddd', formNow, startMs, endMs, used + amount, granted, alerted, now, planned )
stored[place] = change == COUNTED and counted or counted .. last changes[place] = change end end
end if status then at = at + 5 statuses[#statuses + 1] = status else if not decidePlan then
decidePlan, finish = general(
now, isGivenClock, counterCount, request, stored, before, changes, counters, statuses ) end
at = decidePlan(at) end end if finish then finish() end local expiries = {}
for place, change in pairs(changes) do local text = stored[place]
if change == COUNTED then redis.call('SETRANGE', KEYS[place], 0, text) else
local form, startMs, endMs = unpackText('<ddd', text) local remembers = form % 1 ~= 0
local name = remembers and -endMs or endMs local expiry = expiries[name]
if not expiry and not isGivenClock and endMs < FOREVER_MS then
local graceMs = min(max(endMs - startMs, PAST_GRACE_MIN_MS), PAST_GRACE_MAX_MS)
if remembers then graceMs = math.ceil((endMs - startMs) * 9 / 8) end
expiry = string.format('%.0f', endMs + graceMs) expiries[name] = expiry end
if expiry then redis.call('SET', KEYS[place], text, 'PXAT', expiry)
else redis.call('SET', KEYS[place], text) end end end told[2] = table.concat(statuses) return told
`;

/** What documents.lua is to the server. */
export const DOCUMENTS_SCRIPT = `local DROPS_PER_WRITE = 2 local LIST_PIECE = 100
local texts, changes, unwatched, expiries = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local lastSequence, forgotten = KEYS[5], KEYS[6] local now = tonumber(ARGV[1]) if now == 0 then
local time = redis.call('TIME') now = time[1] * 1000 + math.floor(time[2] / 1000) end
local function whole(number) return string.format('%.0f', number) end local function live(key)
local text = redis.call('HGET', texts, key) if not text then return nil end
local revision, _, expiresMs, isDeleted = struct.unpack('<dddd', text)
if isDeleted == 1 or (expiresMs >= 0 and expiresMs <= now) then return nil end
return text, revision end local function remove(key) redis.call('HDEL', texts, key)
redis.call('ZREM', changes, key) redis.call('ZREM', unwatched, key)
redis.call('ZREM', expiries, key) end
local function put(key, value, expiresMs, isWatched, isDeleted, sequence, givenRevision)
local text = redis.call('HGET', texts, key) local revision = givenRevision or 1
if text and not givenRevision then revision = struct.unpack('<d', text) + 1 end remove(key)
if isDeleted and not isWatched then return end
local head = struct.pack('<dddd', revision, isWatched and sequence or 0, expiresMs,
isDeleted and 1 or 0) redis.call('HSET', texts, key, head .. value)
if isWatched then redis.call('ZADD', changes, whole(sequence), key)
else redis.call('ZADD', unwatched, 0, key) end
if expiresMs >= 0 then redis.call('ZADD', expiries, whole(expiresMs), key) end end
local function dropExpired(count)
local keys = redis.call('ZRANGEBYSCORE', expiries, '-inf', whole(now), 'LIMIT', 0, count)
for _, key in ipairs(keys) do remove(key) end end local function lineage()
local info = redis.pcall('INFO', 'replication')
return type(info) == 'string' and string.match(info, 'master_replid:(%x+)') or '' end
local told = { whole(now) } local function tell(key, text) told[#told + 1] = key
told[#told + 1] = text end local operations = {} function operations.changes()
local sequence = redis.call('GET', lastSequence) or '0' told[2] = lineage() told[3] = sequence
if tonumber(sequence) == tonumber(ARGV[3]) then return end
local keys = redis.call('ZRANGEBYSCORE', changes, '(' .. ARGV[3], '+inf')
for _, key in ipairs(keys) do local text = redis.call('HGET', texts, key)
local _, _, expiresMs = struct.unpack('<ddd', text)
if expiresMs < 0 or expiresMs > now then tell(key, text) end end end function operations.get()
told[2] = live(ARGV[3]) or false end function operations.list()
local folder, after, limit = ARGV[3], ARGV[4], tonumber(ARGV[5])
local from = after == '' and '[' .. folder or '(' .. after
local to = '(' .. folder .. string.char(255) local count = 0 while count < limit do
local keys = redis.call('ZRANGEBYLEX', unwatched, from, to, 'LIMIT', 0, LIST_PIECE)
for _, key in ipairs(keys) do local text = live(key) if text and count < limit then
tell(key, text) count = count + 1 end end if #keys < LIST_PIECE then return end
from = '(' .. keys[#keys] end end function operations.write()
local channel, count = ARGV[3], tonumber(ARGV[4]) local isChange = false for i = 0, count - 1 do
local at = 5 + 6 * i local _, revision = live(ARGV[at])
if (revision or 0) ~= tonumber(ARGV[at + 1]) then told[2] = ARGV[at] return end
if ARGV[at + 5] == '1' then isChange = true end end local sequence = 0
if isChange then sequence = redis.call('INCR', lastSequence) end for i = 0, count - 1 do
local at = 5 + 6 * i
local key, what, value, expiry = ARGV[at], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
if what ~= 'check' then
put(key, value, tonumber(expiry) or -1, ARGV[at + 5] == '1', what == 'delete', sequence) end end
for i = 5 + 6 * count, #ARGV do redis.call('SADD', forgotten, ARGV[i]) end
if count > 0 then dropExpired(count * DROPS_PER_WRITE) end
if isChange then redis.pcall('PUBLISH', channel, whole(sequence)) end end
function operations.load() local sequence = redis.call('INCR', lastSequence)
for i = 0, tonumber(ARGV[3]) - 1 do local at = 4 + 5 * i
local expiresMs, isWatched = tonumber(ARGV[at + 3]) or -1, ARGV[at + 4] == '1'
put(ARGV[at], ARGV[at + 2], expiresMs, isWatched, false, sequence, tonumber(ARGV[at + 1])) end end
operations[ARGV[2]]() return told
`;
