/* What the store gives back of a lane, a domain, a recipient, a detector: a damaged record is refused,
 * changes nothing, and what is taken can be written again and says the same. The first byte says whose it is.
 * Timestamps of people likewise.
 */
#include <stdlib.h>
#include <string.h>

#include "api/timestamp.h"
#include "base/check.h"
#include "fuzz.h"
#include "lane/distrust.h"
#include "lane/domain_state.h"
#include "lane/lane.h"
#include "lane/ledger.h"
#include "lane/refusal.h"

static const int64_t now_us = INT64_C(1000000000), wall_ms = INT64_C(1700000000000);

static void check_lane(struct slice from)
{
	struct lane_config config;
	struct lane lane;
	struct buffer again;

	lane_config_defaults(&config);
	lane_init(&lane, &config, 1, now_us, wall_ms);
	buffer_init(&again, 0);
	if (lane_load(&lane, from, now_us, wall_ms) == 0) {
		check(lane_save(&lane, now_us, &again) == 0);
		check(lane_load(&lane, buffer_slice(&again), now_us, wall_ms) == 0);
		(void)lane_deadline(&lane, now_us);
	}
	buffer_deinit(&again);
}

static void check_domain(struct slice from)
{
	struct domain_flow flow;
	struct buffer again;

	domain_flow_init(&flow, wall_ms);
	buffer_init(&again, 0);
	if (domain_flow_load(&flow, from, wall_ms) == 0) {
		check(domain_flow_save(&flow, &again) == 0);
		check(domain_flow_load(&flow, buffer_slice(&again), wall_ms) == 0);
	}
	buffer_deinit(&again);
}

static void check_refusal(struct slice from)
{
	struct refusal *r = calloc(1, sizeof(*r));
	struct buffer again;

	if (r == NULL)
		return;
	refusal_init(r, now_us);
	buffer_init(&again, 0);
	if (refusal_load(r, from, now_us) == 0) {
		check(refusal_save(r, now_us, &again) == 0);
		check(refusal_load(r, buffer_slice(&again), now_us) == 0);
	}
	buffer_deinit(&again);
	free(r);
}

static void check_distrust(struct slice from)
{
	struct distrust *d = calloc(1, sizeof(*d));
	struct buffer again;

	if (d == NULL)
		return;
	distrust_init(d, now_us);
	buffer_init(&again, 0);
	if (distrust_load(d, from, now_us) == 0) {
		check(distrust_save(d, &again) == 0);
		check(distrust_load(d, buffer_slice(&again), now_us) == 0);
	}
	buffer_deinit(&again);
	free(d);
}

static void check_ledger(struct slice from)
{
	struct ledger_domain domain;
	struct ledger_entry entry;
	struct buffer again;
	char key[LEDGER_KEY_MAX];
	size_t size;

	ledger_domain_init(&domain);
	buffer_init(&again, 0);
	if (ledger_domain_load(&domain, from) == 0) {
		check(ledger_domain_save(&domain, &again) == 0);
		check(ledger_domain_load(&domain, buffer_slice(&again)) == 0);
	}
	buffer_reset(&again);
	if (ledger_decode(from, &entry) == 0) {
		check(ledger_encode(&entry, &again) == 0 && slice_starts(from, buffer_slice(&again)));
		(void)ledger_standing(&entry, &domain);
	}
	if (ledger_key(SLICE("example.com"), from, key, &size) == 0)
		check(slice_equal(ledger_key_local(slice_make(key, size), SLICE("example.com")), from) ||
		      from.size > 0); /* without case */
	buffer_deinit(&again);
}

static void check_timestamp(struct slice from)
{
	char text[TIMESTAMP_SIZE];
	int64_t ms, again;
	bool zone;

	if (timestamp_parse(from, &ms, &zone) != 0)
		return;
	check(timestamp_parse(slice_of(timestamp_format(ms, text)), &again, NULL) == 0);
	check(again == ms || ms < INT64_C(-62135596800000) || ms > INT64_C(253402300799999) ||
	      again / 1000 == ms / 1000 || again / 1000 - ms / 1000 == -1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const checks[])(struct slice from) = {check_lane,	    check_domain, check_refusal,
							    check_distrust, check_ledger, check_timestamp};

	if (size > 0)
		checks[data[0] % 6](slice_make(data + 1, size - 1));
	return 0;
}
