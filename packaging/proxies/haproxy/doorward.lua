-- Asks Doorward about a request: http-request lua.doorward URL. Whatever goes wrong, the request ends here.

-- What concerns one connection, or what this proxy says itself.
local not_sent = {
	["host"] = true, ["connection"] = true, ["keep-alive"] = true, ["proxy-connection"] = true, ["te"] = true,
	["trailer"] = true, ["transfer-encoding"] = true, ["content-length"] = true, ["expect"] = true,
	["x-forwarded-method"] = true, ["x-forwarded-proto"] = true, ["x-forwarded-host"] = true,
	["x-forwarded-uri"] = true, ["x-forwarded-for"] = true, ["forwarded"] = true,
}

local identity = { "x-doorward-user", "x-doorward-email", "x-doorward-name", "x-doorward-roles", "x-doorward-assertion", "cookie", "authorization" }

local function finish(txn, status, location)
	local headers = { ["cache-control"] = { "no-store" } }
	if location then
		status = 303
		headers["location"] = { location }
	end
	txn:done(txn:reply({ status = status, headers = headers }))
end

local function first(headers, name)
	local values = headers and headers[name]
	return values and values[0]
end

core.register_action("doorward", { "http-req" }, function(txn, url)
	local headers = {}
	for name, values in pairs(txn.http:req_get_headers()) do
		if not not_sent[name] then
			headers[name] = {}
			for i = 0, #values do
				table.insert(headers[name], values[i])
			end
		end
	end
	headers["host"] = { "doorward" }
	headers["x-forwarded-method"] = { txn.sf:method() }
	headers["x-forwarded-proto"] = { "https" }
	headers["x-forwarded-host"] = { txn.sf:req_fhdr("host") }
	headers["x-forwarded-uri"] = { txn.sf:pathq() }
	headers["x-forwarded-for"] = { txn.sf:src() }
	local answer = core.httpclient():get({ url = url, headers = headers, timeout = 5000 })
	if not answer or not answer.status or answer.status == 0 then
		return finish(txn, 503)
	end
	if answer.status ~= 200 then
		return finish(txn, answer.status, first(answer.headers, "x-doorward-location"))
	end
	-- The answer is the only source of these; what the client sent goes.
	for name in pairs(txn.http:req_get_headers()) do
		if name:find("^x%-doorward%-") or name == "cookie" or name == "authorization" then
			txn.http:req_del_header(name)
		end
	end
	for _, name in ipairs(identity) do
		local value = first(answer.headers, name)
		if value then
			txn.http:req_set_header(name, value)
		end
	end
end, 1)
