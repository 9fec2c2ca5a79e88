-- Google Cloud Storage names the state of an object by a generation; here its ETag serves as one.
core.register_action("generation", { "http-res" }, function(transaction)
    local tag = transaction.http:res_get_headers()["etag"]
    if tag and tag[0] then
        transaction.http:res_set_header("x-goog-generation", (tag[0]:gsub('"', "")))
    end
end)

local far = tonumber(os.getenv("COLDFRAME_TEST_FAR_MILLISECONDS") or "50")
core.register_action("far", { "http-req" }, function()
    core.msleep(far)
end)
