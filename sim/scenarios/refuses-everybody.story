# Restored, and says "user unknown" to everybody for 20 minutes. Nothing bounces, few probes, all is delivered after the repair.
server mx1
sender sender1
domain d1.test to mx1
send 50 to d1.test over 20s
wait 30s
mx1 refused
send 200 to d1.test over 100s
wait 2m
mx1 up
mx1 refuses-all
mark
wait 20m
expect held at least 150
expect ends 0
expect connects at mx1 at most 400
mark
mx1 healthy
expect first-held within 20s
expect delivered within 10m
expect ends 0
expect duplicates at most 0
