# Mails of 300 KB, some of them nearly all dots, to a server without CHUNKING: every piece in which they are read and sent begins
# and ends somewhere else, and each byte must be right. (The simulation compares all of them, always.)
server mx1
sender sender1
domain d1.test to mx1
mx1 without chunking
send 150 to d1.test over 2m size 300000
wait 2m
expect delivered within 60s
expect duplicates at most 0
