#include "sim/oracle.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* It comes no sooner than after ten minutes; a little less for what the wire takes. */
#define UNKNOWN_WAIT_US CLOCK_SECONDS(590)

/* What a relay that has died since had sent may still arrive so much later. */
#define ON_THE_WIRE_US CLOCK_SECONDS(300)

void sim_oracle_init(struct sim_oracle *oracle, struct sim_world *world)
{
	*oracle = (struct sim_oracle){.world = world, .record_limit_us = CLOCK_SECONDS(120)};
	map_init(&oracle->attempts, 1);
	list_init(&oracle->in_order);
	list_init(&oracle->stored);
}

void sim_oracle_deinit(struct sim_oracle *oracle)
{
	list_each_safe(node, after, &oracle->stored)
		free(container_of(node, struct sim_stored, node));
	map_deinit(&oracle->attempts);
	list_each_safe(node2, after2, &oracle->in_order)
		free(container_of(node2, struct sim_attempt, in_order));
}

void sim_oracle_violation(struct sim_oracle *oracle, const char *format, ...)
{
	char words[SIM_VIOLATION_SIZE];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	sim_note(oracle->world, "VIOLATION: %s", words);
	if (oracle->violations++ == 0)
		memcpy(oracle->first, words, sizeof(words));
}

static void moment(const struct sim_oracle *oracle, enum sim_moment which)
{
	if (oracle->moment != NULL)
		oracle->moment(oracle->moment_owner, which);
}

/* --- senders
 * ----------------------------------------------------------------------------------------------------------
 */

struct sim_attempt *sim_oracle_attempt(struct sim_oracle *oracle, struct sim_mail *mail)
{
	struct sim_attempt *attempt = sim_alloc(sizeof(struct sim_attempt));

	*attempt = (struct sim_attempt){.mail = mail};
	(void)snprintf(attempt->token, sizeof(attempt->token), "m%u.a%u@senders.test", mail->number,
		       ++mail->attempts);
	list_add_last(&oracle->in_order, &attempt->in_order);
	check(map_insert(&oracle->attempts, &attempt->node, slice_of(attempt->token)) == 0);
	return attempt;
}

void sim_oracle_rcpt(struct sim_oracle *oracle, struct sim_attempt *attempt, const char *address,
		     unsigned code)
{
	check(attempt->recipient_count < SIM_MAIL_RECIPIENTS_MAX);
	struct sim_oracle_recipient *r = &attempt->recipients[attempt->recipient_count++];
	(void)snprintf(r->address, sizeof(r->address), "%s", address);
	r->said = code == 0 ? SIM_SAID_NOTHING : code < 300 ? SIM_SAID_YES : SIM_SAID_NO;
}

void sim_oracle_ended(struct sim_oracle *oracle, struct sim_attempt *attempt)
{
	if (attempt->state == SIM_ATTEMPT_OPEN)
		attempt->state = SIM_ATTEMPT_ENDED;
}

static void must_not_exist(struct sim_oracle *oracle, const struct sim_attempt *attempt, const char *why)
{
	for (uint32_t i = 0; i < attempt->recipient_count; i++)
		if (attempt->recipients[i].copies > 0)
			sim_oracle_violation(oracle, "%s was stored for %s, though %s", attempt->token,
					     attempt->recipients[i].address, why);
}

void sim_oracle_final(struct sim_oracle *oracle, struct sim_attempt *attempt, unsigned code)
{
	if (attempt->state == SIM_ATTEMPT_OPEN && code < 300) {
		sim_oracle_violation(oracle, "%s got %u before its end was sent", attempt->token, code);
		return;
	}
	if (code >= 300) {
		attempt->state = SIM_ATTEMPT_REFUSED;
		must_not_exist(oracle, attempt, "it was refused at its end");
		return;
	}
	attempt->state = SIM_ATTEMPT_ACKED;
	attempt->acked_us = oracle->world->now_us;
	for (uint32_t i = 0; i < attempt->recipient_count; i++) {
		oracle->acked += attempt->recipients[i].said == SIM_SAID_YES;
		oracle->owed +=
		    attempt->recipients[i].said == SIM_SAID_YES && attempt->recipients[i].copies == 0;
	}
	moment(oracle, SIM_MOMENT_ACKED);
}

void sim_oracle_gone(struct sim_oracle *oracle, struct sim_attempt *attempt)
{
	if (attempt->state != SIM_ATTEMPT_OPEN)
		return;
	attempt->state = SIM_ATTEMPT_ABANDONED;
	must_not_exist(oracle, attempt, "its end was never sent");
}

/* --- servers
 * ----------------------------------------------------------------------------------------------------------
 */

static bool is_field(struct slice line, const char *name)
{
	return slice_starts_nocase(line, slice_of(name));
}

/* The text behind the first header field, which must be Received. */
static bool strip_received(struct slice *bytes)
{
	if (!is_field(*bytes, "Received:"))
		return false;
	do {
		size_t end = slice_find(*bytes, '\n');
		if (end == bytes->size)
			return false;
		*bytes = slice_from(*bytes, end + 1);
	} while (bytes->size > 0 && (bytes->data[0] == ' ' || bytes->data[0] == '\t'));
	return true;
}

static struct sim_attempt *find_attempt(const struct sim_oracle *oracle, struct slice reverse_path,
					struct slice text)
{
	struct slice token = reverse_path;

	if (token.size == 0 && is_field(text, "X-Token: ")) {
		token = slice_from(text, sizeof("X-Token: ") - 1);
		token = slice_upto(token, slice_find(token, '\r'));
	}
	struct map_node *node = map_find(&oracle->attempts, token);
	return node != NULL ? container_of(node, struct sim_attempt, node) : NULL;
}

static void compare_bytes(struct sim_oracle *oracle, const struct sim_attempt *attempt, struct slice text)
{
	struct buffer expected;

	buffer_init(&expected, 0);
	sim_mail_text(attempt->mail, attempt->token, &expected);
	if (!slice_equal(buffer_slice(&expected), text)) {
		size_t at = 0;
		while (at < text.size && at < buffer_size(&expected) &&
		       text.data[at] == expected.bytes[expected.start + at])
			at++;
		sim_oracle_violation(oracle,
				     "%s was changed on its way: %zu bytes became %zu, different at %zu",
				     attempt->token, buffer_size(&expected), text.size, at);
	}
	buffer_deinit(&expected);
}

static bool relay_died_before_recording(const struct sim_oracle *oracle, int64_t replied_us)
{
	for (size_t i = 0; i < oracle->crashes; i++) {
		int64_t until_us = oracle->crash_us[i];
		if (oracle->unrecordable_us[i] != 0)
			until_us = oracle->unrecordable_us[i];
		if (oracle->crash_us[i] >= replied_us && until_us - replied_us <= oracle->record_limit_us)
			return true;
	}
	return false;
}

static bool relay_died_since(const struct sim_oracle *oracle, int64_t us)
{
	return oracle->crashes > 0 && oracle->crash_us[oracle->crashes - 1] >= us;
}

/* The server may have it, and it has: whoever sends it again at once makes a duplicate of each lost reply. */
static void judge_patience(struct sim_oracle *oracle, const struct sim_attempt *attempt,
			   const struct sim_stored *first)
{
	int64_t waited_us = oracle->world->now_us - first->reply.lost_us;

	if (oracle->hurried || oracle->world->wall_jumps > 0 ||
	    relay_died_since(oracle, first->stored_us - ON_THE_WIRE_US))
		return;
	if (waited_us < UNKNOWN_WAIT_US)
		sim_oracle_violation(oracle, "%s came again %.3f s after the reply to its dot was lost",
				     attempt->token, (double)waited_us / 1e6);
}

static void judge_duplicate(struct sim_oracle *oracle, const struct sim_attempt *attempt,
			    const struct sim_oracle_recipient *r, const struct sim_stored *stored)
{
	const struct sim_watch *reply = &r->last->reply;

	/* Or this copy was long on its way, and the relay had gone before it came. */
	if (reply->lost_us != 0 || stored->reply.lost_us != 0) {
		oracle->duplicates_reply_lost++;
		if (stored->reply.lost_us == 0)
			judge_patience(oracle, attempt, r->last);
	} else if (reply->delivered_us != 0 && relay_died_before_recording(oracle, reply->delivered_us))
		oracle->duplicates_crash++;
	else
		sim_oracle_violation(
		    oracle, "%s was stored twice for %s: the relay %s", attempt->token, r->address,
		    reply->delivered_us != 0 ? "had read the reply" : "was still waiting for the reply");
}

static void note_copy(struct sim_oracle *oracle, struct sim_attempt *attempt, struct sim_oracle_recipient *r,
		      struct sim_stored *stored)
{
	int64_t now_us = oracle->world->now_us;

	if (r->said == SIM_SAID_NO)
		sim_oracle_violation(oracle, "%s was stored for %s, who was refused", attempt->token,
				     r->address);
	if (r->copies++ > 0) {
		judge_duplicate(oracle, attempt, r, stored);
		r->last = stored;
		return;
	}
	r->last = stored;
	oracle->delivered++;
	oracle->last_delivery_us = now_us;
	if (attempt->state != SIM_ATTEMPT_ACKED)
		return;
	oracle->owed -= r->said == SIM_SAID_YES;
	if (attempt->acked_us >= oracle->mark_us && now_us - attempt->acked_us > oracle->worst_delay_us)
		oracle->worst_delay_us = now_us - attempt->acked_us;
	if (attempt->acked_us < oracle->mark_us && oracle->first_held_us == 0)
		oracle->first_held_us = now_us;
}

static struct sim_oracle_recipient *find_recipient(struct sim_attempt *attempt, const char *address)
{
	for (uint32_t i = 0; i < attempt->recipient_count; i++)
		if (slice_equal_nocase(slice_of(attempt->recipients[i].address), slice_of(address)))
			return &attempt->recipients[i];
	return NULL;
}

static void judge_stored(struct sim_oracle *oracle, struct sim_attempt *attempt, const char *server)
{
	if (attempt->state == SIM_ATTEMPT_OPEN || attempt->state == SIM_ATTEMPT_ABANDONED)
		sim_oracle_violation(oracle, "%s stored %s, whose end was never sent", server,
				     attempt->token);
	if (attempt->state == SIM_ATTEMPT_REFUSED)
		sim_oracle_violation(oracle, "%s stored %s, which was refused at its end", server,
				     attempt->token);
}

struct sim_stored *sim_oracle_stored(struct sim_oracle *oracle, struct net_conn *conn, const char *server,
				     struct slice reverse_path, const char (*recipients)[SIM_ADDRESS_SIZE],
				     size_t count, struct slice bytes)
{
	struct sim_stored *stored = sim_alloc(sizeof(struct sim_stored));

	stored->stored_us = oracle->world->now_us;
	stored->connection = sim_conn_number(conn);
	list_add_last(&oracle->stored, &stored->node);
	sim_watch(conn, &stored->reply);
	if (!strip_received(&bytes))
		sim_oracle_violation(oracle, "%s got a message without a Received field in front", server);
	struct sim_attempt *attempt = find_attempt(oracle, reverse_path, bytes);
	if (attempt == NULL || (reverse_path.size == 0) != attempt->mail->null_sender) {
		sim_oracle_violation(oracle, "%s stored a message that nobody sent, from <%.*s>", server,
				     SLICE_ARG(reverse_path));
		return stored;
	}
	judge_stored(oracle, attempt, server);
	compare_bytes(oracle, attempt, bytes);
	for (size_t i = 0; i < count; i++) {
		struct sim_oracle_recipient *r = find_recipient(attempt, recipients[i]);
		if (r == NULL)
			sim_oracle_violation(oracle, "%s was stored for %s, who was not named",
					     attempt->token, recipients[i]);
		else
			note_copy(oracle, attempt, r, stored);
	}
	moment(oracle, SIM_MOMENT_STORED);
	return stored;
}

void sim_oracle_content_refused(struct sim_oracle *oracle, struct slice reverse_path, struct slice bytes)
{
	struct sim_attempt *attempt =
	    strip_received(&bytes) ? find_attempt(oracle, reverse_path, bytes) : NULL;

	if (attempt == NULL || attempt->content_refused)
		return;
	attempt->content_refused = true;
	oracle->content_refused += attempt->recipient_count;
}

void sim_oracle_replied(struct sim_stored *stored, struct net_conn *conn)
{
	sim_watch_written(conn, &stored->reply);
}

/* --- the run
 * ----------------------------------------------------------------------------------------------------------
 */

void sim_oracle_crash(struct sim_oracle *oracle, int64_t unrecordable_us)
{
	check(oracle->crashes < SIM_CRASHES_MAX);
	oracle->unrecordable_us[oracle->crashes] = unrecordable_us;
	oracle->crash_us[oracle->crashes++] = oracle->world->now_us;
}

void sim_oracle_mark(struct sim_oracle *oracle)
{
	oracle->mark_us = oracle->world->now_us;
	oracle->first_held_us = 0;
	oracle->worst_delay_us = 0;
}

static bool is_owed(const struct sim_attempt *attempt, uint32_t i)
{
	return attempt->state == SIM_ATTEMPT_ACKED && attempt->recipients[i].said == SIM_SAID_YES &&
	       attempt->recipients[i].copies == 0;
}

uint64_t sim_oracle_owed_to(const struct sim_oracle *oracle, const char *domain, const char *but)
{
	uint64_t owed = 0;

	list_each(node, &oracle->in_order) {
		const struct sim_attempt *attempt = container_of(node, struct sim_attempt, in_order);
		for (uint32_t i = 0; i < attempt->recipient_count; i++) {
			struct slice address = slice_of(attempt->recipients[i].address);
			struct slice its = slice_from(address, slice_find_last(address, '@') + 1);
			if (but == NULL || !slice_equal(address, slice_of(but)))
				owed += is_owed(attempt, i) && slice_equal_nocase(its, slice_of(domain));
		}
	}
	return owed;
}

void sim_oracle_finish(struct sim_oracle *oracle)
{
	list_each(node, &oracle->in_order) {
		const struct sim_attempt *attempt = container_of(node, struct sim_attempt, in_order);
		for (uint32_t i = 0; i < attempt->recipient_count; i++)
			if (is_owed(attempt, i))
				sim_oracle_violation(oracle, "LOST: %s for %s was acknowledged at %.6f",
						     attempt->token, attempt->recipients[i].address,
						     (double)attempt->acked_us / 1e6);
	}
}
