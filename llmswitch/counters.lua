-- Carries out a batch of orders in one step: reserve, settle, shut, look. `_redis_counters.py` says what they are.
--
-- KEYS[1] are the processes; an item or a reservation names its key by its number. An allowance is a hash of integers:
--
--   start, end            of a window of the calendar: its bounds
--   settled, back         what was spent, lost reservations in full; and what of these was not spent after all
--   o<moment>             what is reserved, and counts as spent from that moment on
--   b<second>             of a window that slides: what was reserved in that second
--   closed                until then nothing is given out
--
-- A reservation is a string: where its amounts are kept, as JSON, or `done`. Every key expires by itself, but for an
-- allowance without an end.

local input = cjson.decode(ARGV[1])
local clock = redis.call('TIME')
local now = input.now or clock[1] * 1000 + math.floor(clock[2] / 1000)
local DAY, FOREVER = 86400000, 9007199254740991
local books, records = {}, {}

local function text(number) return string.format('%.0f', number) end

-- What is read is written at the end, so that a server that takes no writes has carried out nothing.
local function book(number)
  local found = books[number]
  if found then return found end
  found = {fields = {}, changed = {}}
  local flat = redis.pcall('HGETALL', KEYS[number])
  if flat.err then found.wrong = true end
  for i = 1, #flat, 2 do
    if #flat[i + 1] <= 16 and flat[i + 1]:match('^%d+$') then found.fields[flat[i]] = tonumber(flat[i + 1]) end
  end
  books[number] = found
  return found
end

local function put(b, field, value) b.fields[field] = value; b.changed[field] = true end

local function record(number)
  if not records[number] then
    local raw, places = redis.pcall('GET', KEYS[number]), nil
    if type(raw) == 'string' and raw ~= 'done' then
      local read, decoded = pcall(cjson.decode, raw)
      if read and type(decoded) == 'table' and decoded.v == 1 then places = decoded.places end
    end
    records[number] = {done = raw == 'done', places = places}
  end
  return records[number]
end

local function write_record(number, places, kept)
  local text = places and cjson.encode({v = 1, places = places}) or 'done'
  records[number] = {done = not places, places = places, text = text, kept = kept}
end

-- Windows of the calendar

local function begin(b, first, last)
  for field in pairs(b.fields) do
    if field:match('^o%d') then put(b, field, nil) end
  end
  put(b, 'start', first); put(b, 'end', last); put(b, 'settled', 0); put(b, 'back', nil)
end

local function reap(b)
  local lost = 0
  for field, amount in pairs(b.fields) do
    if field:match('^o%d') and tonumber(field:sub(2)) <= now then
      lost = lost + amount
      put(b, field, nil)
    end
  end
  if lost > 0 then put(b, 'settled', b.fields.settled + lost) end
end

local function whole(b) return b.fields.start and b.fields['end'] and b.fields.settled end

local function slide(b, seconds)
  local second, late = math.floor(now / 1000), 0
  for field, amount in pairs(b.fields) do
    if field:match('^b%d') then
      local at = tonumber(field:sub(2))
      if (at + 1 + seconds) * 1000 <= now then put(b, field, nil)
      elseif at > second then late = late + amount; put(b, field, nil) end
    end
  end
  if late > 0 then
    local field = 'b' .. text(second)
    put(b, field, (b.fields[field] or 0) + late)
  end
end

-- Be in the window of now: true, 'over', or 'when' where the edges do not hold it.
local function advance(b, item)
  b.item = item
  if item.seconds then slide(b, item.seconds); return true end
  local first, last
  for i = 1, #item.edges - 1 do
    if item.edges[i] <= now and now < item.edges[i + 1] then first, last = item.edges[i], item.edges[i + 1] end
  end
  if not first then
    if item.edges[1] <= now and item.once then return 'over' end
    return 'when'
  end
  if not whole(b) or first > b.fields.start then begin(b, first, last)
  elseif first < b.fields.start and b.fields.start - now > math.max(DAY, last - first) then
    put(b, 'start', first); put(b, 'end', last)
  end
  reap(b)
  local known = item.known
  if known and known.start == b.fields.start then
    if known.settled > b.fields.settled then put(b, 'settled', known.settled) end
    if known.back > (b.fields.back or 0) then put(b, 'back', known.back) end
  end
  return true
end

local function sum(b, kind)
  local all = 0
  for field, amount in pairs(b.fields) do
    if field:match('^' .. kind .. '%d') then all = all + amount end
  end
  return all
end

local function seen(b, item)
  local f = b.fields
  if item.seconds then return {0, 0, sum(b, 'b'), 0, 0, f.closed or 0} end
  return {f.start or -1, f['end'] or -1, f.settled or 0, sum(b, 'o'), f.back or 0, f.closed or 0}
end

local function fits(item, spent) return spent + item.amount <= item.limit or (item.rate and spent == 0) end

-- Milliseconds until there is room (-1: never), what was spent, and whether there may be sooner; nil: there is.
local function denied(b, item)
  local settled = item.seconds and sum(b, 'b') or math.max(0, b.fields.settled - (b.fields.back or 0))
  local spent = item.seconds and settled or math.max(0, b.fields.settled + sum(b, 'o') - (b.fields.back or 0))
  local closed = b.fields.closed or 0
  if closed > now then return {closed - now, spent, 0} end
  if fits(item, spent) then return nil end
  if not fits(item, 0) then return {-1, spent, 0} end
  if not item.seconds then
    local last = b.fields['end']
    return {last >= FOREVER and -1 or last - now, spent, fits(item, settled) and 1 or 0}
  end
  local seconds, left = {}, spent
  for field in pairs(b.fields) do
    if field:match('^b%d') then seconds[#seconds + 1] = tonumber(field:sub(2)) end
  end
  table.sort(seconds)
  for _, second in ipairs(seconds) do
    left = left - b.fields['b' .. text(second)]
    if fits(item, left) then return {(second + 1 + item.seconds) * 1000 - now, spent, 0} end
  end
end

local function everything(items)
  local all = {}
  for i, item in ipairs(items) do all[i] = seen(book(item.key), item) end
  return all
end

-- Orders

local orders = {}

function orders.take(order)
  local held = record(order.record)
  if held.done then return {'late'} end
  local worst, index
  for i, item in ipairs(order.items) do
    local there = advance(book(item.key), item)
    if there == 'when' then return {'when'} end
    if not held.places then
      local no = there == 'over' and {-1, 0, 0} or denied(book(item.key), item)
      if no and (not worst or (worst[1] ~= -1 and (no[1] == -1 or no[1] > worst[1]))) then worst, index = no, i end
    end
  end
  if held.places then return {'taken', held.places, everything(order.items)} end
  if worst then return {'denied', index, worst, everything(order.items)} end
  local grain, places = order.grain, {}
  local ends = math.ceil((now + order.lease) / grain) * grain
  for i, item in ipairs(order.items) do
    local b = book(item.key)
    local start = item.seconds and math.floor(now / 1000) or b.fields.start
    local field = item.seconds and 'b' .. text(start) or 'o' .. text(ends)
    put(b, field, (b.fields[field] or 0) + item.amount)
    places[i] = {start, ends}
  end
  write_record(order.record, places, ends + order.grace)
  return {'taken', places, everything(order.items)}
end

local function settle_span(b, item, start, ends, counted)
  if not whole(b) then counted = false end
  if not whole(b) or (start > b.fields.start and not counted) then begin(b, start, item.last) end
  if start ~= b.fields.start then return end
  reap(b)
  local field = 'o' .. text(ends)
  local reserved = b.fields[field]
  if not item.actual then
    put(b, field, (reserved or 0) + item.amount)
    reap(b)
  elseif counted and reserved and reserved >= item.amount then
    put(b, field, reserved > item.amount and reserved - item.amount or nil)
    put(b, 'settled', b.fields.settled + item.actual)
  else
    local change = item.actual - (counted and item.amount or 0)
    if change > 0 then put(b, 'settled', b.fields.settled + change)
    elseif change < 0 then put(b, 'back', (b.fields.back or 0) - change) end
  end
end

local function settle_sliding(b, item, start, counted)
  slide(b, item.seconds)
  if not counted then start = math.min(start, math.floor(now / 1000)) end
  if (start + 1 + item.seconds) * 1000 <= now then return end
  local field = 'b' .. text(start)
  if counted and not b.fields[field] then return end
  local change = (item.actual or item.amount) - (counted and item.amount or 0)
  put(b, field, math.max(0, (b.fields[field] or 0) + change))
end

function orders.give(order)
  local held = record(order.record)
  local counted = held.places ~= nil
  if not held.done and (counted or now < order.kept) and not (counted and order.open) then
    local places = {}
    for i, item in ipairs(order.items) do
      local b = book(item.key)
      local start, ends = item.start, item.ends
      if counted and held.places[i] then start, ends = held.places[i][1], held.places[i][2] end
      b.item = item
      if item.seconds then settle_sliding(b, item, start, counted) else settle_span(b, item, start, ends, counted) end
      places[i] = {start, ends}
    end
    if order.open then write_record(order.record, places, order.kept)
    else write_record(order.record, nil, now + order.mark) end
  end
  return {'given', everything(order.items)}
end

function orders.shut(order)
  local item = order.items[1]
  local b = book(item.key)
  if advance(b, item) == true then
    local latest = math.min(order['until'], now + order.longest)
    if order['until'] == 0 then put(b, 'closed', nil) else put(b, 'closed', math.max(b.fields.closed or 0, latest)) end
  end
  return {'shut', everything(order.items)}
end

function orders.look(order)
  advance(book(order.items[1].key), order.items[1])
  return {'seen', everything(order.items)}
end

local answers = {}
for i, order in ipairs(input.orders) do answers[i] = orders[order.kind](order) end

-- Writes

for number, b in pairs(books) do
  if next(b.changed) then
    local key = KEYS[number]
    if b.wrong then redis.call('DEL', key) end
    for field in pairs(b.changed) do
      local value = b.fields[field]
      if value then redis.call('HSET', key, field, text(value)) else redis.call('HDEL', key, field) end
    end
    local last = b.item.seconds and now + b.item.seconds * 2000 or (b.fields['end'] or now) + DAY
    if last < FOREVER then redis.call('PEXPIREAT', key, text(math.max(last, b.fields.closed or 0))) end
  end
end
for number, r in pairs(records) do
  if r.text then
    redis.call('SET', KEYS[number], r.text)
    redis.call('PEXPIREAT', KEYS[number], text(r.kept))
  end
end
local processes = KEYS[1]
local kind = redis.call('TYPE', processes).ok
if kind ~= 'zset' and kind ~= 'none' and input.beat then redis.call('DEL', processes) end
if input.leave and kind == 'zset' then redis.call('ZREM', processes, input.process) end
if input.beat then
  redis.call('ZADD', processes, text(now), input.process)
  redis.call('ZREMRANGEBYSCORE', processes, '-inf', '(' .. text(now - input.alive))
  redis.call('PEXPIRE', processes, input.alive)
end
return {now, (input.beat or kind == 'zset') and redis.call('ZCARD', processes) or 1, answers}
