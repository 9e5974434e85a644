-- Sends the ready-made requests of the file named by BENCH_REQUESTS, one after the other and round again.
-- The file holds each request after its length in bytes, in ten digits.
local requests, number = {}, 0

function init(arguments)
  local file = io.open(os.getenv("BENCH_REQUESTS"), "rb")
  while true do
    local length = file:read(10)
    if not length then break end
    requests[#requests + 1] = file:read(tonumber(length))
  end
  file:close()
end

function request()
  number = number % #requests + 1
  return requests[number]
end
