-- Carries out a batch of orders in one step: reserve (take), settle (give), shut. `_counter_store.py` says what they are.
--
-- KEYS[1] are the processes; a view of an allowance, and a reservation, name their key by its number. An allowance is a
-- hash of integers:
--
--   start, end            of a window of the calendar: its bounds
--   settled, back         what was spent, lost reservations in full; and what of these was not spent after all
--   o<moment>             what is reserved, and counts as spent from that moment on
--   b<second>             of a window that slides: what was reserved in that second
--   closed                until then nothing is given out
--
-- A reservation is a string: where its amounts are kept, as JSON, or `done`. Every key expires by itself, but for an
-- allowance without an end. What is read first is written last, so that a server that takes no writes has done nothing.

local DAY, FOREVER = 86400000, 9007199254740991
local input = cjson.decode(ARGV[1])
local clock = redis.call('TIME')
local now = input.now or clock[1] * 1000 + math.floor(clock[2] / 1000)
local second = math.floor(now / 1000)

local function text(number) return string.format('%.0f', number) end

-- Allowances

local NAMES = {start = true, ['end'] = true, settled = true, back = true, closed = true}

local function load(key)
  local b = {key = key, open = {}, slid = {}, sum = {o = 0, b = 0}, changed = {}}
  local flat = redis.pcall('HGETALL', key)
  b.wrong = flat.err ~= nil
  for i = 1, #flat, 2 do
    local name, value = flat[i], flat[i + 1]
    if #name <= 17 and #value <= 16 and value:match('^%d+$') then
      local kind, at = name:match('^([ob])(%d+)$')
      if NAMES[name] then b[name] = tonumber(value)
      elseif kind then
        local places = kind == 'o' and b.open or b.slid
        places[tonumber(at)] = tonumber(value)
        b.sum[kind] = b.sum[kind] + tonumber(value)
      end
    end
  end
  return b
end

local function put(b, name, value) b[name] = value; b.changed[name] = value or false end

local function add(b, kind, at, amount)
  local places = kind == 'o' and b.open or b.slid
  local value = (places[at] or 0) + amount
  places[at] = value > 0 and value or nil
  b.sum[kind] = b.sum[kind] + amount
  b.changed[kind .. text(at)] = places[at] or false
end

local function begin(b, first, last)
  for at, amount in pairs(b.open) do add(b, 'o', at, -amount) end
  put(b, 'start', first); put(b, 'end', last); put(b, 'settled', 0); put(b, 'back', nil)
end

local function slide(b, seconds)
  local late = 0
  for at, amount in pairs(b.slid) do
    if (at + 1 + seconds) * 1000 <= now then add(b, 'b', at, -amount)
    elseif at > second then late = late + amount; add(b, 'b', at, -amount) end
  end
  if late > 0 then add(b, 'b', second, late) end
end

-- Be in the window of now: 'here', 'over', or 'when' where the edges do not hold it.
local function advance(b, view)
  if view.seconds then slide(b, view.seconds); return 'here' end
  local first, last
  for i = 1, #view.edges - 1 do
    if view.edges[i] <= now and now < view.edges[i + 1] then first, last = view.edges[i], view.edges[i + 1] end
  end
  if not first then return view.once and view.edges[1] <= now and 'over' or 'when' end
  b.begun = not (b.start and b['end'] and b.settled)
  if b.begun or first > b.start then begin(b, first, last)
  elseif first < b.start and b.start - now > math.max(DAY, last - first) then
    put(b, 'start', first); put(b, 'end', last)
  end
  for at, amount in pairs(b.open) do
    if at <= now then add(b, 'o', at, -amount); put(b, 'settled', b.settled + amount) end
  end
  local known = view.known
  if known and known.start == b.start then
    if known.settled > b.settled then put(b, 'settled', known.settled) end
    if known.back > (b.back or 0) then put(b, 'back', known.back) end
  end
  return 'here'
end

local books = {}
for i, view in ipairs(input.views) do
  books[i] = load(KEYS[view.key])
  books[i].there = advance(books[i], view)
end

local function spent(b, seconds, kinds)
  if seconds then return b.sum.b end
  return math.max(0, (b.settled or 0) - (b.back or 0) + (kinds == 'settled' and 0 or b.sum.o))
end

local function fits(item, before) return before + item.amount <= item.limit or (item.rate and before == 0) end

-- Milliseconds until there is room (-1: never), what was spent, and whether there may be sooner; nil: there is.
local function denied(b, item, seconds)
  local before, closed = spent(b, seconds), b.closed or 0
  if b.there == 'over' then return {-1, 0, 0} end
  if closed > now then return {closed - now, before, 0} end
  if fits(item, before) then return nil end
  if not fits(item, 0) then return {-1, before, 0} end
  if not seconds then
    return {b['end'] >= FOREVER and -1 or b['end'] - now, before, fits(item, spent(b, nil, 'settled')) and 1 or 0}
  end
  local order, left = {}, before
  for at in pairs(b.slid) do order[#order + 1] = at end
  table.sort(order)
  for _, at in ipairs(order) do
    left = left - b.slid[at]
    if fits(item, left) then return {(at + 1 + seconds) * 1000 - now, before, 0} end
  end
end

-- Reservations

local records = {}

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

local function keep(number, places, lasts)
  local raw = places and cjson.encode({v = 1, places = places}) or 'done'
  records[number] = {done = not places, places = places, raw = raw, lasts = math.max(1, lasts)}
end

-- Orders; what is answered with 'when' has not been done.

local orders = {}

function orders.take(order)
  local held = record(order.record)
  if held.done then return {'when'} end -- it was given back before it came
  if held.places then return {'taken', held.places} end
  local worst, index
  for i, item in ipairs(order.items) do
    local b = books[item.view]
    if b.there == 'when' then return {'when'} end
    local no = denied(b, item, input.views[item.view].seconds)
    if no and (not worst or (worst[1] ~= -1 and (no[1] == -1 or no[1] > worst[1]))) then worst, index = no, i end
  end
  if worst then return {'denied', index, worst} end
  if order.look then return {'taken', {}} end
  local ends, places = math.ceil((now + order.lease) / order.grain) * order.grain, {}
  for i, item in ipairs(order.items) do
    local b, slides = books[item.view], input.views[item.view].seconds
    places[i] = {slides and second or b.start, ends}
    add(b, slides and 'b' or 'o', slides and second or ends, item.amount)
  end
  keep(order.record, places, ends + order.grace - now)
  return {'taken', places}
end

-- Of what was reserved `amount` is counted already.
local function settle_sliding(b, seconds, start, amount, actual)
  start = math.min(start, second)
  if (start + 1 + seconds) * 1000 <= now or (amount > 0 and not b.slid[start]) then return end
  add(b, 'b', start, math.max(actual - amount, -(b.slid[start] or 0)))
end

local function settle(b, place, amount, actual)
  if not b.start or place[1] < b.start then return end
  if amount > 0 and (b.open[place[2]] or 0) >= amount then
    add(b, 'o', place[2], -amount)
    put(b, 'settled', b.settled + actual)
  elseif actual > amount then put(b, 'settled', b.settled + actual - amount)
  elseif actual < amount then put(b, 'back', (b.back or 0) + amount - actual) end
end

function orders.give(order)
  local held = record(order.record)
  if held.done or (held.places and order.open) or (not held.places and now >= order.kept) then return {'given'} end
  for _, item in ipairs(order.items) do
    if books[item.view].there == 'when' then return {'when'} end
  end
  local places = {}
  for i, item in ipairs(order.items) do
    local b, seconds = books[item.view], input.views[item.view].seconds
    local place = held.places and held.places[i] or {item.start, item.ends}
    -- the reservation may be there, and its allowance not
    local lost = b.begun and not seconds and (b.open[place[2]] or 0) < item.amount
    local counted = held.places and not lost and item.amount or 0
    places[i] = place
    if seconds then settle_sliding(b, seconds, place[1], counted, order.open and item.amount or item.actual)
    elseif not order.open then settle(b, place, counted, item.actual)
    elseif b.start and place[1] >= b.start then
      if place[2] > now then add(b, 'o', place[2], item.amount) else put(b, 'settled', b.settled + item.amount) end
    end
  end
  if order.open then keep(order.record, places, order.kept - now) else keep(order.record, nil, order.mark) end
  return {'given'}
end

function orders.shut(order)
  local b = books[order.view]
  if b.there == 'when' then return {'when'} end
  local latest = math.min(order['until'], now + order.longest)
  put(b, 'closed', order['until'] > 0 and math.max(b.closed or 0, latest) or nil)
  return {'shut'}
end

local answers = {}
for i, order in ipairs(input.orders) do answers[i] = orders[order.kind](order) end

-- Writes

local function write(command, key, words)
  for i = 1, #words, 100 do redis.call(command, key, unpack(words, i, math.min(i + 99, #words))) end
end

local seen = {}
for i, b in ipairs(books) do
  local seconds = input.views[i].seconds
  if seconds then seen[i] = {0, 0, b.sum.b, 0, 0, b.closed or 0}
  else seen[i] = {b.start or -1, b['end'] or -1, b.settled or 0, b.sum.o, b.back or 0, b.closed or 0} end
  if next(b.changed) then
    if b.wrong then redis.call('DEL', b.key) end
    local set, unset = {}, {}
    for name, value in pairs(b.changed) do
      if value then set[#set + 1] = name; set[#set + 1] = text(value) else unset[#unset + 1] = name end
    end
    write('HSET', b.key, set)
    write('HDEL', b.key, unset)
    local last = seconds and now + seconds * 2000 or (b['end'] or now) + DAY
    if last < FOREVER then redis.call('PEXPIRE', b.key, text(math.max(last, b.closed or 0) - now)) end
  end
end
for number, each in pairs(records) do
  if each.raw then redis.call('SET', KEYS[number], each.raw, 'PX', text(each.lasts)) end
end
local kind = redis.call('TYPE', KEYS[1]).ok
if input.beat and kind ~= 'zset' and kind ~= 'none' then redis.call('DEL', KEYS[1]) end
if input.leave and kind == 'zset' then redis.call('ZREM', KEYS[1], input.process) end
if input.beat then
  redis.call('ZADD', KEYS[1], text(now), input.process)
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. text(now - input.alive))
  redis.call('PEXPIRE', KEYS[1], input.alive)
end
return {now, (input.beat or kind == 'zset') and redis.call('ZCARD', KEYS[1]) or 1, answers, seen}
