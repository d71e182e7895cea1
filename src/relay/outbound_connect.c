/* Connecting: through the targets of the feed until one greets us. */
#include "relay/outbound.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "relay/trust.h"

static void try_next_target(struct outbound *out);

/* Which failure tells the lane most, when several targets failed in different ways. */
static int telling(enum verdict verdict)
{
	switch (verdict) {
	case VERDICT_CONN_LIMIT:
		return 4;
	case VERDICT_RATE:
	case VERDICT_PRESSURE:
	case VERDICT_US:
		return 3;
	case VERDICT_HOST:
		return 2;
	case VERDICT_OK:
	case VERDICT_BUSY:
	case VERDICT_DOMAIN:
	case VERDICT_REFUSED:
	case VERDICT_RECIPIENT:
	case VERDICT_MESSAGE:
	case VERDICT_LATER:
	case VERDICT_UNKNOWN:
		break;
	}
	return 1;
}

static void note(struct outbound *out, const struct verdict_result *result, const char *words)
{
	if (out->worst_reply[0] != '\0' && telling(result->verdict) < telling(out->worst.verdict))
		return;
	out->worst = *result;
	(void)snprintf(out->worst_reply, sizeof(out->worst_reply), "%.200s: %.300s", out->relay_text, words);
}

void outbound_note_failure(struct outbound *out, const struct verdict_event *event, const char *words)
{
	struct verdict_result result = verdict_judge(event);

	note(out, &result, words);
}

void outbound_met_ourselves(struct outbound *out)
{
	const struct verdict_result result = {
	    .verdict = VERDICT_HOST, .kind = LANE_KIND_DNS, .reason = REASON_OURSELVES};

	note(out, &result,
	     "leads back to this relay: give the domain's own server with `restante domain set`");
	outbound_target_failed(out);
}

static uint64_t name_shown(const struct outbound *out)
{
	struct slice banner = smtp_client_banner(out->client), name;

	if (!slice_split(&banner, ' ', &name))
		name = SLICE("");
	return map_hash(name, out->relay->ports.seed);
}

void outbound_recognise(struct outbound *out)
{
	struct feed *feed = out->feed;
	struct relay *relay = out->relay;
	int64_t now_us = relay->now.now_us;
	char address[NET_ADDRESS_TEXT_SIZE];

	(void)net_address_host(&out->trying.address, address);
	uint64_t address_hash = map_hash(slice_of(address), relay->ports.seed);
	bool name = identity_shown(&feed->identity, IDENTITY_NAME, name_shown(out), now_us);
	bool cert = identity_shown(&feed->identity, IDENTITY_CERTIFICATE, out->certificate, now_us);
	bool moved = identity_shown(&feed->identity, IDENTITY_ADDRESS, address_hash, now_us);
	if (!name && !cert && !moved)
		return;
	log_event(relay->ports.log, LOG_LEVEL_INFO, "lane", 0,
		  "the server is not the one that it was: no refusal is final for an hour",
		  LOG_TEXT("lane", slice_of(feed->name)), LOG_TEXT("relay", slice_of(out->relay_text)),
		  LOG_TEXT("new", name	 ? SLICE("name")
				  : cert ? SLICE("certificate")
					 : SLICE("address")),
		  LOG_TEXT("banner", smtp_client_banner(out->client)));
	list_each(node, &feed->domains)
		trust_grace(container_of(node, struct domain, in_feed));
}

static void note_local_failure(struct outbound *out, const char *words)
{
	struct verdict_event event = {.stage = VERDICT_AT_CONNECT, .what = VERDICT_CONN_LOCAL};

	outbound_note_failure(out, &event, words);
}

void outbound_attempt_failed(struct outbound *out)
{
	struct feed *feed = out->feed;
	struct relay *relay = out->relay;
	struct item *item = out->item;

	if (out->worst_reply[0] == '\0')
		note_local_failure(out, "no address to try");
	out->item = NULL;
	if (item != NULL)
		queue_return(item);
	bool changed = lane_conn_failed(&feed->lane, &out->worst, slice_of(out->worst_reply),
					relay->now.now_us, relay->now.wall_ms);
	feed->changed = true;
	if (changed)
		feed_changed(feed);
	outbound_bury(out);
}

void outbound_target_failed(struct outbound *out)
{
	/* TLS is opportunistic: a server whose handshake is broken gets the mail in plain text, as before TLS
	 * (RFC 7435). */
	bool retry_plain =
	    out->tls_failed && !out->without_tls && !out->relay->config.client.starttls_required;

	out->tls_failed = false;
	if (retry_plain)
		out->tried &= ~(UINT64_C(1) << out->target);
	else
		hosts_failed(out->feed, &out->trying);
	out->without_tls = retry_plain;
	out->certificate = 0;
	smtp_client_free(out->client);
	out->client = NULL;
	outbound_drop_connection(out, false);
	out->state = OUTBOUND_CONNECTING;
	try_next_target(out);
}

static void describe_target(struct outbound *out)
{
	char address[NET_ADDRESS_TEXT_SIZE];
	const char *name = out->feed->destination->hosts[out->trying.host].name;

	(void)net_address_host(&out->trying.address, address);
	(void)snprintf(out->relay_text, sizeof(out->relay_text), "%s[%s]:%u", name, address,
		       out->trying.address.port);
}

static void try_next_target(struct outbound *out)
{
	struct feed *feed = out->feed;
	struct relay *relay = out->relay;

	for (;;) {
		if (!out->without_tls)
			out->target = hosts_pick(feed, out->tried);
		if (out->target < 0) {
			/* The timer tells the lane, not this call: it may come from outbound_open. */
			timer_set(&relay->timers, &out->timer, relay->now.now_us);
			return;
		}
		out->tried |= UINT64_C(1) << out->target;
		if (!out->without_tls)
			out->trying = feed->targets[out->target];
		describe_target(out);
		out->conn =
		    relay->ports.net->ops->connect(relay->ports.net, &out->trying.address, NULL,
						   relay->config.connect_timeout_ms, &outbound_events, out);
		if (out->conn != NULL) {
			timer_clear(&relay->timers, &out->timer);
			return;
		}
		out->without_tls = false;
		note_local_failure(out, "out of memory");
	}
}

void outbound_connected(struct outbound *out)
{
	struct relay *relay = out->relay;
	struct smtp_client_config config = relay->config.client;

	config.starttls = config.starttls && !out->without_tls;
	out->in_net_bytes = 0;
	out->client = smtp_client_new(&config, relay->now.now_us);
	if (out->client == NULL) {
		note_local_failure(out, "out of memory");
		outbound_target_failed(out);
		return;
	}
	out->state = OUTBOUND_GREETING;
	outbound_step(out, (struct slice){.data = NULL, .size = 0});
}

bool outbound_open(struct feed *feed, struct item *canary)
{
	struct relay *relay = feed->relay;
	struct outbound *out = calloc(1, sizeof(*out));

	if (out == NULL)
		return false;
	out->relay = relay;
	out->feed = feed;
	out->item = canary;
	out->probe = canary != NULL;
	arena_init(&out->words, 0);
	outbound_init_timer(out);
	list_add_last(&feed->connections, &out->in_feed);
	feed->connection_count++;
	feed->opening_count++;
	relay->outbound_count++;
	lane_conn_opening(&feed->lane, relay->now.now_us);
	try_next_target(out);
	return true;
}
