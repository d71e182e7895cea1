#include "daemon/store_open.h"

#include <stdio.h>
#include <string.h>

#include "store/ram.h"
#include "store/spool.h"

static const struct {
	enum log_level level;
	const char *what;
} events[] = {
    [SPOOL_EVENT_ASIDE] = {LOG_LEVEL_ALARM, "a damaged message is set aside"},
    [SPOOL_EVENT_TORN] = {LOG_LEVEL_INFO,
			  "the last write before the crash was incomplete; nobody was told it was done"},
    [SPOOL_EVENT_REBUILT] = {LOG_LEVEL_WARN,
			     "the index is made again from the log; mail that has ended may come back"},
    /* Of these two the relay raises the alarm, once (relay/room.c); here is the place in the log. */
    [SPOOL_EVENT_DEAD] = {LOG_LEVEL_WARN, "the disk failed"},
    [SPOOL_EVENT_FULL] = {LOG_LEVEL_DEBUG, "the disk is full"},
};

static void report(void *owner, const struct spool_report *report)
{
	struct log *log = owner;
	log_event(log, events[report->event].level, "store", report->id, events[report->event].what,
		  LOG_TEXT("detail", slice_of(report->text)), LOG_NUMBER("segment", report->segment),
		  LOG_NUMBER("offset", report->offset));
}

static struct store *open_ram(uint64_t seed, void (*wake)(void *owner), void *owner, char *ret_message)
{
	const struct ram_store_config config = {.seed = seed, .wake = wake, .wake_owner = owner};
	struct store *store = ram_store_new(&config);
	if (store == NULL)
		(void)snprintf(ret_message, STORE_OPEN_MESSAGE_SIZE, "out of memory");
	return store;
}

struct store *store_open(const char *kind, struct log *log, uint64_t seed, void (*wake)(void *owner),
			 void *owner, char ret_message[STORE_OPEN_MESSAGE_SIZE])
{
	const struct spool_config config = {
	    .path = ".",
	    .threads = true,
	    .seed = seed,
	    .wake = wake,
	    .wake_owner = owner,
	    .report = report,
	    .report_owner = log,
#ifdef STORE_SMALL /* for tests: checkpoints, new segments and compaction in a second of mail */
	    .segment_bytes = 1024 * 1024,
	    .checkpoint_bytes = 256 * 1024,
	    .slack_bytes = 1024 * 1024,
#endif
	};
	struct store *store = NULL;
	char message[SPOOL_MESSAGE_SIZE] = "";
	if (strcmp(kind, "ram") == 0)
		return open_ram(seed, wake, owner, ret_message);
	if (spool_open(&config, &store, message) == 0)
		return store;
	(void)snprintf(ret_message, STORE_OPEN_MESSAGE_SIZE, "the spool cannot be opened: %s", message);
	return NULL;
}
