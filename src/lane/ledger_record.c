/* Keys and values of the ledger in the store. */
#include <string.h>

#include "base/wire.h"
#include "lane/ledger.h"

enum { ENTRY_VERSION = 1, DOMAIN_VERSION = 1 };

static const struct slice key_start = {.data = "ledger/", .size = 7};

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static void put_lower(char *to, struct slice from)
{
	for (size_t i = 0; i < from.size; i++)
		to[i] = lower(from.data[i]);
}

int ledger_key(struct slice domain, struct slice local, char ret_key[LEDGER_KEY_MAX], size_t *ret_size)
{
	if (local.size > LEDGER_LOCAL_MAX || key_start.size + domain.size + 1 + local.size > LEDGER_KEY_MAX)
		return ERR_LIMIT;
	if (domain.size == 0 || local.size == 0 || slice_find(local, '\0') != local.size ||
	    slice_find(domain, '/') != domain.size)
		return ERR_SYNTAX;
	memcpy(ret_key, key_start.data, key_start.size);
	put_lower(ret_key + key_start.size, domain);
	ret_key[key_start.size + domain.size] = '/';
	put_lower(ret_key + key_start.size + domain.size + 1, local);
	*ret_size = key_start.size + domain.size + 1 + local.size;
	return 0;
}

struct slice ledger_key_local(struct slice key, struct slice domain)
{
	struct slice none = {.data = NULL, .size = 0}, rest = slice_from(key, key_start.size);

	if (!slice_starts(key, key_start) || rest.size < domain.size + 2 ||
	    !slice_equal_nocase(slice_upto(rest, domain.size), domain) || rest.data[domain.size] != '/')
		return none;
	return slice_from(rest, domain.size + 1);
}

int ledger_encode(const struct ledger_entry *entry, struct buffer *to)
{
	struct wire_writer w = wire_writer(to);

	wire_write_u8(&w, ENTRY_VERSION);
	wire_write_u8(&w, (uint8_t)entry->source);
	wire_write_u8(&w, (uint8_t)(entry->pinned | entry->departed << 1));
	wire_write_i64(&w, entry->first_good_ms);
	wire_write_i64(&w, entry->last_good_ms);
	wire_write_i64(&w, entry->last_refused_ms);
	wire_write_i64(&w, entry->good_service_ms);
	wire_write_i64(&w, entry->refused_service_ms);
	wire_write_i64(&w, entry->counted_service_ms);
	wire_write_u32(&w, entry->good_count);
	wire_write_u32(&w, entry->refused_count);
	wire_write_u32(&w, entry->counted);
	return w.failed ? ERR_MEMORY : 0;
}

int ledger_decode(struct slice from, struct ledger_entry *ret_entry)
{
	struct wire_reader r = wire_reader(from);
	uint8_t version = wire_read_u8(&r), source = wire_read_u8(&r), flags = wire_read_u8(&r);
	struct ledger_entry entry = {.source = LEDGER_DELIVERY};

	if (wire_ok(&r) && version > ENTRY_VERSION)
		return ERR_VERSION;
	entry.first_good_ms = wire_read_i64(&r);
	entry.last_good_ms = wire_read_i64(&r);
	entry.last_refused_ms = wire_read_i64(&r);
	entry.good_service_ms = wire_read_i64(&r);
	entry.refused_service_ms = wire_read_i64(&r);
	entry.counted_service_ms = wire_read_i64(&r);
	entry.good_count = wire_read_u32(&r);
	entry.refused_count = wire_read_u32(&r);
	entry.counted = wire_read_u32(&r);
	if (!wire_ok(&r) || version == 0 || source > LEDGER_CSV || flags > 3 || entry.good_service_ms < 0 ||
	    entry.refused_service_ms < 0 || entry.counted_service_ms < 0)
		return ERR_CORRUPT;
	entry.source = (enum ledger_source)source;
	entry.pinned = (flags & 1) != 0;
	entry.departed = (flags & 2) != 0;
	*ret_entry = entry;
	return 0;
}

int ledger_domain_save(const struct ledger_domain *domain, struct buffer *to)
{
	struct wire_writer w = wire_writer(to);

	wire_write_u8(&w, DOMAIN_VERSION);
	wire_write_u8(&w, (uint8_t)domain->catch_all);
	wire_write_u8(&w, (uint8_t)(domain->told_once | domain->null_sender << 1));
	wire_write_i64(&w, domain->service_ms);
	wire_write_i64(&w, domain->catch_all_service_ms);
	wire_write_u8(&w, (uint8_t)domain->recent_count);
	for (uint32_t i = 0; i < domain->recent_count; i++) {
		wire_write_i64(&w, domain->recent[i].good_service_ms);
		wire_write_string(&w, slice_of(domain->recent[i].local));
	}
	return w.failed ? ERR_MEMORY : 0;
}

static bool read_recent(struct wire_reader *r, struct ledger_recent *recent)
{
	recent->good_service_ms = wire_read_i64(r);
	struct slice local = wire_read_string(r);

	if (!wire_ok(r) || local.size == 0 || local.size > LEDGER_LOCAL_MAX ||
	    slice_find(local, '\0') != local.size)
		return false;
	memcpy(recent->local, local.data, local.size);
	return true;
}

int ledger_domain_load(struct ledger_domain *domain, struct slice from)
{
	struct wire_reader r = wire_reader(from);
	struct ledger_domain loaded;
	uint8_t version = wire_read_u8(&r), catch_all = wire_read_u8(&r), flags = wire_read_u8(&r);

	if (wire_ok(&r) && version > DOMAIN_VERSION)
		return ERR_VERSION;
	ledger_domain_init(&loaded);
	loaded.service_ms = wire_read_i64(&r);
	loaded.catch_all_service_ms = wire_read_i64(&r);
	loaded.recent_count = wire_read_u8(&r);
	if (!wire_ok(&r) || version == 0 || catch_all > LEDGER_TAKES_ALL || flags > 3 ||
	    loaded.service_ms < 0 || loaded.recent_count > LEDGER_RECENT)
		return ERR_CORRUPT;
	for (uint32_t i = 0; i < loaded.recent_count; i++)
		if (!read_recent(&r, &loaded.recent[i]))
			return ERR_CORRUPT;
	loaded.catch_all = (enum ledger_catch_all)catch_all;
	loaded.told_once = (flags & 1) != 0;
	loaded.null_sender = (flags & 2) != 0;
	*domain = loaded;
	return 0;
}
