# A server is away for five minutes and refuses connections. A thousand mails arrive meanwhile and are held. When it is back, the
# first of them is there within ten seconds and all within a minute. Nobody is told anything, nothing comes twice.
server mx1
sender sender1
domain d1.test to mx1
send 20 to d1.test over 10s
wait 15s
expect held 0
mx1 refused
send 1000 to d1.test over 280s
mark
wait 5m
expect held 1000
# one probe each five seconds, however much is held
expect connects at mx1 at most 100
mark
mx1 up
expect first-held within 10s
expect delivered within 50s
expect transactions at mx1 at most 50
expect duplicates at most 0
expect ends 0
