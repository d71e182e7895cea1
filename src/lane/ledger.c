#include "lane/ledger.h"

#include <string.h>

#include "base/check.h"
#include "lane/tuning.h"

const char *ledger_source_name(enum ledger_source source)
{
	static const char *const names[] = {"delivery", "callout", "list", "csv"};

	check((unsigned)source < sizeof(names) / sizeof(names[0]));
	return names[source];
}

const char *ledger_standing_name(enum ledger_standing standing)
{
	static const char *const names[] = {"unseen", "refused", "listed", "seen", "good"};

	check((unsigned)standing < sizeof(names) / sizeof(names[0]));
	return names[standing];
}

/* --- domain --- */

void ledger_domain_init(struct ledger_domain *domain)
{
	memset(domain, 0, sizeof(*domain));
}

void ledger_serve(struct ledger_domain *domain, int64_t elapsed_ms)
{
	if (elapsed_ms > 0)
		domain->service_ms += elapsed_ms;
}

bool ledger_made_up(struct ledger_domain *domain, bool accepted)
{
	bool changed = accepted && domain->told_once && domain->catch_all != LEDGER_TAKES_ALL;

	domain->catch_all = accepted ? LEDGER_TAKES_ALL : LEDGER_TELLS;
	domain->catch_all_service_ms = domain->service_ms;
	if (!accepted)
		domain->told_once = true;
	return changed;
}

/* The answer itself stays: while the server is away it is the best there is. */
void ledger_domain_changed(struct ledger_domain *domain)
{
	domain->catch_all_service_ms = domain->service_ms - LEDGER_ASK_MS;
}

enum ledger_catch_all ledger_catch_all(const struct ledger_domain *domain, bool up)
{
	bool old = domain->service_ms - domain->catch_all_service_ms >= LEDGER_ASK_MS;

	return old && up ? LEDGER_ASK : domain->catch_all;
}

struct slice ledger_recent(const struct ledger_domain *domain, uint32_t place)
{
	const struct ledger_recent *recent = &domain->recent[place < LEDGER_RECENT ? place : 0];

	if (place >= domain->recent_count || domain->service_ms - recent->good_service_ms > LEDGER_SEEN_MS)
		return (struct slice){.data = NULL, .size = 0};
	return slice_of(recent->local);
}

static void recent_remove(struct ledger_domain *domain, uint32_t place)
{
	struct ledger_recent *at = &domain->recent[place];

	domain->recent_count--;
	memmove(at, at + 1, (domain->recent_count - place) * sizeof(*at));
	memset(&domain->recent[domain->recent_count], 0, sizeof(*at));
}

/* Its place, or recent_count. */
static uint32_t recent_find(const struct ledger_domain *domain, struct slice local)
{
	uint32_t place = 0;

	while (place < domain->recent_count &&
	       !slice_equal_nocase(slice_of(domain->recent[place].local), local))
		place++;
	return place;
}

static void recent_add(struct ledger_domain *domain, struct slice local)
{
	uint32_t place = recent_find(domain, local);

	if (local.size == 0 || local.size > LEDGER_LOCAL_MAX)
		return;
	if (place < domain->recent_count)
		recent_remove(domain, place);
	else if (domain->recent_count == LEDGER_RECENT)
		recent_remove(domain, LEDGER_RECENT - 1);
	memmove(&domain->recent[1], &domain->recent[0], domain->recent_count * sizeof(domain->recent[0]));
	domain->recent[0] = (struct ledger_recent){.good_service_ms = domain->service_ms};
	memcpy(domain->recent[0].local, local.data, local.size);
	domain->recent_count++;
}

/* --- entries --- */

struct ledger_entry ledger_entry(enum ledger_source source)
{
	return (struct ledger_entry){.source = source};
}

bool ledger_worth(const struct ledger_domain *domain, bool exists)
{
	return exists || domain->catch_all != LEDGER_TAKES_ALL;
}

void ledger_accepted(struct ledger_entry *entry, struct ledger_domain *domain, struct slice local,
		     int64_t wall_ms)
{
	if (entry->first_good_ms == 0)
		entry->first_good_ms = wall_ms;
	entry->last_good_ms = wall_ms;
	entry->good_service_ms = domain->service_ms;
	if (entry->good_count < UINT32_MAX)
		entry->good_count++;
	entry->departed = false;
	entry->refused_count = entry->counted = 0;
	recent_add(domain, local);
}

void ledger_was_refused(struct ledger_entry *entry, const struct ledger_domain *domain, bool counted,
			int64_t wall_ms)
{
	entry->last_refused_ms = wall_ms;
	entry->refused_service_ms = domain->service_ms;
	if (entry->refused_count < UINT32_MAX)
		entry->refused_count++;
	if (!counted)
		return;
	if (entry->counted == 0)
		entry->counted_service_ms = domain->service_ms;
	if (entry->counted < UINT32_MAX)
		entry->counted++;
}

void ledger_vouch(struct ledger_entry *entry, enum ledger_source source, bool pinned)
{
	entry->source = source;
	entry->pinned = entry->pinned || pinned;
	if (pinned)
		entry->departed = false;
}

bool ledger_unvouch(struct ledger_entry *entry)
{
	entry->pinned = false;
	if (entry->source == LEDGER_LIST || entry->source == LEDGER_CSV)
		entry->source = LEDGER_DELIVERY;
	return entry->good_count > 0 || entry->refused_count > 0;
}

void ledger_depart(struct ledger_entry *entry, struct ledger_domain *domain, struct slice local)
{
	uint32_t place = recent_find(domain, local);

	entry->departed = true;
	if (place < domain->recent_count)
		recent_remove(domain, place);
}

static bool is_seen(const struct ledger_entry *entry, const struct ledger_domain *domain)
{
	return entry->good_count > 0 && domain->service_ms - entry->good_service_ms <= LEDGER_SEEN_MS;
}

enum ledger_standing ledger_standing(const struct ledger_entry *entry, const struct ledger_domain *domain)
{
	bool young = domain->service_ms - entry->good_service_ms <= LEDGER_GOOD_MS;

	if (entry->pinned)
		return LEDGER_GOOD;
	if (is_seen(entry, domain))
		return young && !entry->departed ? LEDGER_GOOD : LEDGER_SEEN;
	if (entry->source == LEDGER_LIST || entry->source == LEDGER_CSV)
		return LEDGER_LISTED;
	return entry->refused_count > 0 ? LEDGER_REFUSED : LEDGER_UNSEEN;
}

bool ledger_refused_now(const struct ledger_entry *entry, const struct ledger_domain *domain)
{
	return entry->counted > 0 && ledger_standing(entry, domain) == LEDGER_REFUSED &&
	       domain->service_ms - entry->refused_service_ms < LEDGER_REFUSED_MS;
}

bool ledger_must_write(const struct ledger_entry *before, const struct ledger_entry *entry)
{
	if (before == NULL || before->source != entry->source || before->pinned != entry->pinned ||
	    before->departed != entry->departed || (before->good_count == 0) != (entry->good_count == 0))
		return true;
	if (before->refused_count != entry->refused_count || before->counted != entry->counted)
		return true;
	return entry->good_service_ms - before->good_service_ms >= LEDGER_WRITE_MS;
}

bool ledger_is_stale(const struct ledger_entry *entry, const struct ledger_domain *domain)
{
	bool refused_lately =
	    entry->refused_count > 0 && domain->service_ms - entry->refused_service_ms < LEDGER_TRACE_MS;

	return ledger_standing(entry, domain) <= LEDGER_REFUSED && !refused_lately;
}
