/* Fills a spool with held mail, straight through the store: for measurements with more mail than one wants to
 *wait for.
 *
 *	fill_spool FOLDER MESSAGES DOMAINS [BYTES]
 *
 * FOLDER: the folder "spool" in the data folder of a relay that does not run; it is made when it is not
 *there. The domains d0.example, d1.example... are served from then on, each with its own dead destination (an
 *address of 127.0.0.0/8, port 1), and have their share of the messages, one after the other.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "store/spool.h"

enum { UNDER_WAY_MAX = 1000 };

struct fill {
	struct store *store;
	uint32_t under_way;
	uint64_t failed;
	char body[64 * 1024];
	size_t bytes;
};

static void done(void *owner, enum store_result result, enum store_reason reason)
{
	struct fill *fill = owner;

	(void)reason;
	fill->under_way--;
	fill->failed += result != STORE_OK;
}

static void wait_below(struct fill *fill, uint32_t most)
{
	while (fill->under_way > most)
		fill->store->ops->poll(fill->store);
}

static int64_t wall_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void put(struct fill *fill, const char *key, const char *value)
{
	wait_below(fill, UNDER_WAY_MAX);
	fill->under_way++;
	fill->store->ops->put(fill->store, slice_of(key), slice_of(value), done, fill);
}

static void put_domain(struct fill *fill, uint32_t number)
{
	char key[64], value[256];

	(void)snprintf(key, sizeof(key), "domain/d%u.example", number - 1);
	(void)snprintf(value, sizeof(value),
		       "version=1\nnumber=%u\nadded_ms=%lld\nhold_ms=1296000000\ndestination=hosts\n"
		       "host=0 1 127.%u.%u.%u\n",
		       number, (long long)wall_ms(), number >> 16, number >> 8 & 255, number & 255);
	put(fill, key, value);
}

static void put_message(struct fill *fill, uint64_t n, uint32_t domain)
{
	char path[64], reverse[64];
	struct store_message *message;
	struct store *store = fill->store;
	int64_t now_ms = wall_ms();
	int reverse_size =
	    snprintf(reverse, sizeof(reverse), "sender%llu@example.net", (unsigned long long)n % 1000);
	int size =
	    snprintf(path, sizeof(path), "user%llu@d%u.example", (unsigned long long)n % 100, domain - 1);
	struct store_recipient recipient = {.forward_path = slice_make(path, (size_t)size), .domain = domain};
	struct store_envelope envelope = {
	    .reverse_path = slice_make(reverse, (size_t)reverse_size),
	    .arrival_ms = now_ms,
	    .client_address = SLICE("192.0.2.1"),
	    .helo = SLICE("mail.example.net"),
	    .recipient_count = 1,
	    .recipients = &recipient,
	};

	wait_below(fill, UNDER_WAY_MAX);
	check(store->ops->begin(store, fill->bytes, &message) == 0);
	check(store->ops->append(message, slice_make(fill->body, fill->bytes)) == 0);
	fill->under_way++;
	store->ops->commit(message, store->ops->next_id(store, now_ms), &envelope,
			   SLICE("Received: from mail.example.net by relay.example with ESMTP\r\n"), done,
			   fill);
}

int main(int argc, char **argv)
{
	static struct fill fill = {.bytes = 600};
	char message[SPOOL_MESSAGE_SIZE], number[16];
	uint64_t numbers[3] = {0};

	for (int i = 2; i < argc && i < 5; i++)
		if (slice_to_u64(slice_of(argv[i]), &numbers[i - 2]) != 0)
			argc = 0;
	if (argc < 4 || numbers[1] == 0 || numbers[1] > 0xffffff || numbers[2] > sizeof(fill.body)) {
		(void)fprintf(stderr, "usage: fill_spool FOLDER MESSAGES DOMAINS [BYTES (at most 65536)]\n");
		return 2;
	}
	uint32_t domains = (uint32_t)numbers[1];
	if (numbers[2] > 0)
		fill.bytes = numbers[2];
	for (size_t i = 0; i < sizeof(fill.body); i++)
		fill.body[i] = i % 72 == 70 ? '\r' : i % 72 == 71 ? '\n' : (char)('a' + i % 26);
	const struct spool_config config = {.path = argv[1], .seed = 1};
	if (spool_open(&config, &fill.store, message) != 0) {
		(void)fprintf(stderr, "fill_spool: %s\n", message);
		return 1;
	}
	for (uint32_t i = 1; i <= domains; i++)
		put_domain(&fill, i);
	(void)snprintf(number, sizeof(number), "%u", domains);
	put(&fill, "number", number);
	for (uint64_t n = 0; n < numbers[0]; n++)
		put_message(&fill, n, (uint32_t)(n % domains) + 1);
	wait_below(&fill, 0);
	fill.store->ops->close(fill.store);
	if (fill.failed > 0)
		(void)fprintf(stderr, "fill_spool: %llu were not stored\n", (unsigned long long)fill.failed);
	return fill.failed > 0;
}
