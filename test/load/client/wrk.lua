-- What wrk asks for. Arguments after `--`: `fixed`, `macs <count>` to ask for the script of one station after the other, or
-- `overlays <first> <count>` for their overlays.
-- Ends with one line of JSON behind wrk's own text.
local requests, at

function init(args)
  requests, at = { wrk.format("GET", wrk.path) }, 0
  if args[1] == "macs" then
    for n = 0, tonumber(args[2]) - 1 do
      requests[n + 1] = wrk.format("GET", string.format("/boot/52-54-00-00-%02x-%02x.ipxe", math.floor(n / 256), n % 256))
    end
  elseif args[1] == "overlays" then
    for n = 0, tonumber(args[3]) - 1 do
      local mac = tonumber(args[2]) + n
      requests[n + 1] = wrk.format("GET", string.format("/configs/52-54-00-00-%02x-%02x.tar.gz", math.floor(mac / 256), mac % 256))
    end
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('\n{"done":%d,"seconds":%.6f,"bytes":%.0f,"p50Ms":%.4f,"p99Ms":%.4f,"failed":%d}\n',
    summary.requests, summary.duration / 1e6, summary.bytes, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
