-- Asks Doorward about a request, for Apache's LuaHookAccessChecker. Whatever goes wrong, the request ends here: an error
-- of this script is a 500.
local http = require("socket.http")
local ltn12 = require("ltn12")

-- Where the question goes.
local authz = "http://127.0.0.1:8080/.doorward/authz"

-- What concerns one connection, or what this proxy says itself.
local not_sent = {
	["host"] = true, ["connection"] = true, ["keep-alive"] = true, ["proxy-connection"] = true, ["te"] = true,
	["trailer"] = true, ["transfer-encoding"] = true, ["content-length"] = true, ["expect"] = true,
	["x-forwarded-method"] = true, ["x-forwarded-proto"] = true, ["x-forwarded-host"] = true,
	["x-forwarded-uri"] = true, ["x-forwarded-for"] = true, ["forwarded"] = true,
}

local identity = { "X-Doorward-User", "X-Doorward-Email", "X-Doorward-Name", "X-Doorward-Roles", "X-Doorward-Assertion", "Cookie", "Authorization" }

-- What a client's Connection header may name. Apache removes what it names after this script has run, and with it what
-- the script has set.
local named = { ["close"] = true, ["keep-alive"] = true, ["upgrade"] = true, ["te"] = true, ["http2-settings"] = true }

function check(r)
	-- r.uri is what Apache chooses the target by; Doorward's own pages judge for themselves.
	if r.uri:sub(1, 11) == "/.doorward/" then
		return apache2.DECLINED
	end
	for token in (r.headers_in["Connection"] or ""):gmatch("[^,%s]+") do
		if not named[token:lower()] then
			return 400
		end
	end
	local headers, spoken = {}, {}
	for name, value in pairs(r:headers_in_table()) do
		local key = name:lower()
		if not not_sent[key] then
			headers[name] = value
		end
		if key:find("^x[^%w]doorward") then
			spoken[#spoken + 1] = name
		end
	end
	headers["Host"] = "doorward"
	headers["Connection"] = "close"
	headers["X-Forwarded-Method"] = r.method
	headers["X-Forwarded-Proto"] = "https"
	headers["X-Forwarded-Host"] = r.headers_in["Host"]
	headers["X-Forwarded-Uri"] = r.unparsed_uri
	headers["X-Forwarded-For"] = r.useragent_ip
	http.TIMEOUT = 5
	local ok, status, answer = http.request({ url = authz, headers = headers, redirect = false, sink = ltn12.sink.null() })
	if not ok or type(status) ~= "number" then
		return 503
	end
	if status ~= 200 then
		local location = answer["x-doorward-location"]
		if location then
			r.err_headers_out["Location"] = location
			return 303
		end
		return status
	end
	-- The answer is the only source of these; what the client sent goes.
	for _, name in ipairs(spoken) do
		r.headers_in[name] = nil
	end
	for _, name in ipairs(identity) do
		r.headers_in[name] = answer[name:lower()]
	end
	return apache2.OK
end
