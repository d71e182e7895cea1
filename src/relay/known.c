#include "relay/known.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/wire.h"
#include "relay/outbound.h"

enum { SAVED_VERSION = 2, /* 1 had no trust */ };

struct known *known_of(struct domain *domain)
{
	if (domain->known != NULL)
		return domain->known;
	domain->known = calloc(1, sizeof(*domain->known));
	if (domain->known == NULL)
		return NULL;
	ledger_domain_init(&domain->known->ledger);
	refusal_init(&domain->known->refusal, domain->relay->now.now_us);
	domain->known->served_us = domain->relay->now.now_us;
	return domain->known;
}

void known_free(struct known *known)
{
	if (known != NULL)
		free(known->distrusted);
	free(known);
}

/* As the domain is now, so it was since the last time: that was a moment ago. */
void known_serve(struct domain *domain)
{
	struct known *known = domain->known;
	int64_t now_us = domain->relay->now.now_us;

	if (known == NULL)
		return;
	if (!feed_flows(domain) || known->refusal.state != REFUSAL_TRUSTED) {
		known->served_us = now_us;
		return;
	}
	int64_t elapsed_ms = (now_us - known->served_us) / 1000;
	ledger_serve(&known->ledger, elapsed_ms);
	known->served_us += elapsed_ms * 1000;
}

/* --- entries --- */

uint32_t known_edits(const struct domain *domain)
{
	return domain->known != NULL ? domain->known->edits : 0;
}

static struct slice local_part(struct slice path)
{
	return slice_upto(path, slice_find_last(path, '@'));
}

static int key_of(const struct outbound *out, uint32_t index, char ret_key[LEDGER_KEY_MAX], size_t *ret_size)
{
	const struct item *item = out->item;
	struct slice local = local_part(item->envelope.recipients[index].forward_path);

	return ledger_key(slice_of(item->domain->name), local, ret_key, ret_size);
}

/* An entry that is damaged says nothing, and is written anew; one of a later version is left as it is. */
static enum known_note_state take_entry(struct ledger_entry *entry, const struct store_pair *pairs,
					size_t count)
{
	int error = count > 0 ? ledger_decode(pairs[0].value, entry) : ERR_MISSING;

	if (error == 0)
		return NOTE_FOUND;
	return error != ERR_VERSION ? NOTE_NEW : NOTE_NONE;
}

void known_entry_take(struct known_entry *entry, const struct store_pair *pairs, size_t count)
{
	entry->state = take_entry(&entry->entry, pairs, count);
}

static void entry_read(void *owner, enum store_result result, const struct store_pair *pairs, size_t count,
		       bool more)
{
	struct known_note *note = owner;
	struct outbound *out = note->out;

	relay_enter(out->relay);
	out->relay->operations--;
	out->references--;
	if (out->dead) {
		outbound_unused(out);
		return;
	}
	if (result == STORE_OK)
		note->state = take_entry(&note->entry, pairs, count);
	check(out->notes_pending > 0);
	out->notes_pending--;
	if (out->notes_pending == 0 && out->awaits_notes)
		results_of(out);
}

void known_read(struct outbound *out)
{
	struct store *store = out->relay->ports.store;
	char key[LEDGER_KEY_MAX];
	size_t size;

	check(out->notes_pending == 0);
	for (uint32_t i = 0; i < out->transaction.recipient_count; i++) {
		out->notes[i].out = out;
		out->notes[i].edits = known_edits(out->item->domain);
		if (key_of(out, i, key, &size) != 0)
			continue;
		out->notes_pending++;
		out->references++;
		out->relay->operations++;
		store->ops->get(store, slice_make(key, size), entry_read, &out->notes[i]);
	}
}

static void entry_written(void *owner, enum store_result result, enum store_reason reason)
{
	struct relay *relay = owner;

	relay_enter(relay);
	relay->operations--; /* what was not written is learnt from the next delivery */
}

static void write_entry(struct domain *domain, struct slice local, const struct ledger_entry *entry)
{
	struct relay *relay = domain->relay;
	char key[LEDGER_KEY_MAX];
	struct buffer record;
	size_t size;

	buffer_init(&record, 0);
	if (ledger_key(slice_of(domain->name), local, key, &size) == 0 &&
	    ledger_encode(entry, &record) == 0) {
		relay->operations++;
		relay->ports.store->ops->put(relay->ports.store, slice_make(key, size), buffer_slice(&record),
					     entry_written, relay);
	}
	buffer_deinit(&record);
}

void known_called(struct domain *domain, struct slice local, struct known_entry *entry)
{
	struct known *known = domain->known;
	bool found = entry->state == NOTE_FOUND;
	struct ledger_entry before = entry->entry;

	if (known == NULL || entry->state == NOTE_NONE || !ledger_worth(&known->ledger, found))
		return;
	known_serve(domain);
	if (!found)
		entry->entry = ledger_entry(LEDGER_CALLOUT);
	ledger_accepted(&entry->entry, &known->ledger, local, domain->relay->now.wall_ms);
	known->changed = true;
	if (entry->edits != known->edits || !ledger_must_write(found ? &before : NULL, &entry->entry))
		return;
	known->count += !found;
	entry->state = NOTE_FOUND;
	write_entry(domain, local, &entry->entry);
}

/* Brings an entry up to date. False: it says nothing about this recipient, or nothing worth an entry. */
static bool bring_up_to_date(const struct outbound *out, uint32_t index, enum verdict verdict,
			     const struct refusal_advice *advice, struct ledger_entry *entry)
{
	struct ledger_domain *ledger = &out->item->domain->known->ledger;
	struct slice local = local_part(out->item->envelope.recipients[index].forward_path);
	bool found = out->notes[index].state == NOTE_FOUND;

	if (verdict == VERDICT_OK && ledger_worth(ledger, found)) {
		ledger_accepted(entry, ledger, local, out->relay->now.wall_ms);
		return true;
	}
	/* Strangers' guesses are worth an entry only when they count towards an end. */
	if ((verdict != VERDICT_REFUSED && verdict != VERDICT_DOMAIN) || !(found || advice->counted))
		return false;
	ledger_was_refused(entry, ledger, advice->counted, out->relay->now.wall_ms);
	if (advice->departed)
		ledger_depart(entry, ledger, local);
	return true;
}

void known_learn(struct outbound *out, uint32_t index, enum verdict verdict,
		 const struct refusal_advice *advice)
{
	const struct known_note *note = &out->notes[index];
	bool found = note->state == NOTE_FOUND;
	struct ledger_entry entry = found ? note->entry : ledger_entry(LEDGER_DELIVERY);
	struct known *known = known_of(out->item->domain);

	if (known == NULL)
		return;
	known_serve(out->item->domain);
	if (verdict == VERDICT_OK && out->item->envelope.reverse_path.size == 0)
		known->ledger.null_sender = true;
	if (note->state == NOTE_NONE || !bring_up_to_date(out, index, verdict, advice, &entry))
		return;
	known->changed = true;
	if (note->edits != known->edits || !ledger_must_write(found ? &note->entry : NULL, &entry))
		return;
	known->count += !found;
	write_entry(out->item->domain, local_part(out->item->envelope.recipients[index].forward_path),
		    &entry);
}

/* --- the domain's record --- */

bool known_must_save(const struct domain *domain)
{
	const struct known *known = domain->known;

	if (known == NULL)
		return false;
	if (known->urgent || !known->saved)
		return known->changed || known->urgent;
	int64_t age_us = domain->relay->now.now_us - known->saved_us;
	return (known->changed && age_us >= CLOCK_MS(KNOWN_SAVE_MS)) ||
	       known->ledger.service_ms - known->saved_service_ms >= KNOWN_SERVED_MS;
}

int known_save(const struct domain *domain, struct buffer *to)
{
	const struct known *known = domain->known;
	struct wire_writer w = wire_writer(to);
	struct buffer ledger, trust;

	buffer_init(&ledger, 0);
	buffer_init(&trust, 0);
	int error = ledger_domain_save(&known->ledger, &ledger);
	if (error == 0)
		error = refusal_save(&known->refusal, domain->relay->now.now_us, &trust);
	wire_write_u8(&w, SAVED_VERSION);
	wire_write_u32(&w, known->count);
	wire_write_string(&w, buffer_slice(&ledger));
	wire_write_string(&w, buffer_slice(&trust));
	buffer_deinit(&ledger);
	buffer_deinit(&trust);
	if (error != 0)
		return error;
	return w.failed ? ERR_MEMORY : 0;
}

int known_load(struct domain *domain, struct slice from)
{
	struct wire_reader r = wire_reader(from);
	int64_t now_us = domain->relay->now.now_us;
	struct ledger_domain ledger;
	struct refusal refusal;
	uint8_t version = wire_read_u8(&r);
	uint32_t count = wire_read_u32(&r);
	struct slice saved = wire_read_string(&r), trust = {.data = NULL, .size = 0};

	if (version > 1)
		trust = wire_read_string(&r);

	if (wire_ok(&r) && version > SAVED_VERSION)
		return ERR_VERSION;
	if (!wire_ok(&r) || version == 0)
		return ERR_CORRUPT;
	refusal_init(&refusal, now_us);
	int error = ledger_domain_load(&ledger, saved);
	if (error == 0 && version > 1)
		error = refusal_load(&refusal, trust, now_us);
	if (error != 0)
		return error;
	struct known *known = known_of(domain);
	if (known == NULL)
		return ERR_MEMORY;
	known->ledger = ledger;
	known->refusal = refusal;
	known->count = count;
	known->saved = true;
	known->saved_us = now_us;
	known->saved_service_ms = ledger.service_ms;
	return 0;
}
