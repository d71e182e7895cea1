#include "daemon/cli/spool_envelope.h"

#include <string.h>

#include "api/timestamp.h"
#include "base/base32.h"
#include "daemon/cli/commands.h"
#include "lane/verdict_reason.h"

struct word {
	uint32_t value;
	const char *text;
};

static const struct word flag_words[] = {{STORE_SMTPUTF8, "smtputf8"}, {STORE_RET_FULL, "ret_full"},
					 {STORE_RET_HDRS, "ret_hdrs"}, {STORE_TLS, "tls"},
					 {STORE_SPF_PASS, "spf_pass"}, {0, NULL}};
static const struct word notify_words[] = {
    {STORE_NOTIFY_NEVER, "never"}, {STORE_NOTIFY_SUCCESS, "success"}, {STORE_NOTIFY_FAILURE, "failure"},
    {STORE_NOTIFY_DELAY, "delay"}, {STORE_TAKEN_BACK, "taken_back"},  {0, NULL}};
static const struct word state_words[] = {{STORE_QUEUED, "queued"},
					  {STORE_DELIVERED, "delivered"},
					  {STORE_REFUSED, "refused"},
					  {STORE_EXPIRED, "expired"},
					  {STORE_REMOVED, "removed"},
					  {STORE_DISCARDED, "discarded"},
					  {0, NULL}};

/* --- writing -------------------------------------------------------------------------------------- */

static json_t *text_json(struct slice text)
{
	static const char digits[] = "0123456789abcdef";
	json_t *value = json_stringn(text.data != NULL ? text.data : "", text.size);
	struct buffer hex;

	if (value != NULL)
		return value;
	buffer_init(&hex, 0);
	for (size_t i = 0; i < text.size; i++) {
		const char pair[] = {digits[(uint8_t)text.data[i] >> 4], digits[(uint8_t)text.data[i] & 15]};
		if (buffer_append(&hex, pair, sizeof(pair)) != 0)
			break;
	}
	if (buffer_size(&hex) == 2 * text.size)
		value = json_pack("{s:s%}", "hex", buffer_slice(&hex).data, buffer_size(&hex));
	buffer_deinit(&hex);
	return value;
}

static json_t *words_json(const struct word *words, uint32_t set)
{
	json_t *list = json_array();

	for (; words->text != NULL; words++)
		if ((set & words->value) != 0)
			(void)json_array_append_new(list, json_string(words->text));
	return list;
}

static json_t *recipient_json(const struct store_recipient *r, const struct tool_domains *domains)
{
	char when[TIMESTAMP_SIZE];
	json_t *json =
	    json_pack("{s:o,s:o,s:s,s:o,s:s,s:I,s:o}", "forward_path", text_json(r->forward_path), "orcpt",
		      text_json(r->orcpt), "domain", tool_domain_name(domains, r->domain), "notify",
		      words_json(notify_words, r->notify), "state", state_words[r->state].text, "attempts",
		      (json_int_t)r->attempts, "last_reply", text_json(r->last_reply));

	if (json != NULL && r->reason != REASON_NONE)
		(void)json_object_set_new(json, "reason",
					  json_string(verdict_reason_name((enum verdict_reason)r->reason)));
	if (json != NULL && r->not_before_ms != 0)
		(void)json_object_set_new(json, "not_before",
					  json_string(timestamp_format(r->not_before_ms, when)));
	return json;
}

json_t *envelope_json(const struct store_entry *entry, const struct tool_domains *domains, const char *file)
{
	const struct store_envelope *e = &entry->envelope;
	char id[BASE32_U64_SIZE + 1], when[TIMESTAMP_SIZE];
	json_t *recipients = json_array();

	base32_from_u64(entry->id, id);
	for (uint32_t i = 0; i < e->recipient_count; i++)
		(void)json_array_append_new(recipients, recipient_json(&e->recipients[i], domains));
	json_t *json =
	    json_pack("{s:s,s:s*,s:I,s:o,s:o,s:o,s:s,s:s,s:{s:o,s:o,s:o},s:o,s:o}", "id", id, "file", file,
		      "bytes", (json_int_t)entry->body_bytes, "reverse_path", text_json(e->reverse_path),
		      "envid", text_json(e->envid), "flags", words_json(flag_words, e->flags), "body",
		      e->body == STORE_BODY_8BITMIME ? "8bitmime" : "7bit", "arrival",
		      timestamp_format(e->arrival_ms, when), "client", "address",
		      text_json(e->client_address), "name", text_json(e->client_name), "helo",
		      text_json(e->helo), "message_id", text_json(e->message_id), "recipients", recipients);
	if (json != NULL && json_array_size(json_object_get(json, "recipients")) == e->recipient_count)
		return json;
	json_decref(json);
	return NULL;
}

/* --- reading -------------------------------------------------------------------------------------- */

struct parsing {
	const struct tool_domains *domains;
	struct arena *arena;
	int error;
};

static void fail(struct parsing *p, int error)
{
	if (p->error == 0)
		p->error = error;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static struct slice from_hex(struct parsing *p, const char *hex, size_t size)
{
	char *bytes = arena_alloc(p->arena, size / 2 + 1);

	if (bytes == NULL)
		fail(p, ERR_MEMORY);
	for (size_t i = 0; bytes != NULL && i + 1 < size; i += 2) {
		int high = digit(hex[i]), low = digit(hex[i + 1]);
		if (high < 0 || low < 0) {
			fail(p, ERR_SYNTAX);
			break;
		}
		bytes[i / 2] = (char)(high << 4 | low);
	}
	return slice_make(bytes, bytes != NULL ? size / 2 : 0);
}

static struct slice text_from(struct parsing *p, const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key), *hex = json_object_get(value, "hex");
	struct slice copy = {.data = NULL};

	if (hex != NULL && json_is_string(hex))
		return from_hex(p, json_string_value(hex), json_string_length(hex));
	if (value == NULL)
		return copy;
	if (!json_is_string(value))
		fail(p, ERR_SYNTAX);
	else if (arena_copy(p->arena, slice_make(json_string_value(value), json_string_length(value)),
			    &copy) != 0)
		fail(p, ERR_MEMORY);
	return copy;
}

static uint32_t word_from(struct parsing *p, const struct word *words, const char *text)
{
	for (; words->text != NULL; words++)
		if (text != NULL && strcmp(words->text, text) == 0)
			return words->value;
	fail(p, ERR_SYNTAX);
	return 0;
}

static uint32_t words_from(struct parsing *p, const struct word *words, const json_t *list)
{
	const json_t *item;
	uint32_t set = 0;
	size_t i;

	json_array_foreach(list, i, item) set |= word_from(p, words, json_string_value(item));
	return set;
}

static int64_t time_from(struct parsing *p, const json_t *object, const char *key)
{
	int64_t when_ms = 0;

	if (timestamp_parse(slice_of(text_of(object, key)), &when_ms, NULL) != 0)
		fail(p, ERR_SYNTAX);
	return when_ms;
}

static void recipient_from(struct parsing *p, const json_t *json, struct store_recipient *r)
{
	const struct tool_domain *domain = tool_domain_named(p->domains, text_of(json, "domain"));

	*r = (struct store_recipient){
	    .forward_path = text_from(p, json, "forward_path"),
	    .orcpt = text_from(p, json, "orcpt"),
	    .domain = domain != NULL ? domain->number : 0,
	    .notify = words_from(p, notify_words, json_object_get(json, "notify")),
	    .state = (enum store_recipient_state)word_from(p, state_words, text_of(json, "state")),
	    .attempts = (uint32_t)number_of(json, "attempts"),
	    .last_reply = text_from(p, json, "last_reply"),
	};
	r->reason = (uint8_t)verdict_reason_by_name(slice_of(text_of(json, "reason")));
	if (json_object_get(json, "not_before") != NULL)
		r->not_before_ms = time_from(p, json, "not_before");
}

static void recipients_from(struct parsing *p, const json_t *list, struct store_envelope *e)
{
	const json_t *item;
	size_t i, count = json_array_size(list);

	if (count < 1 || count > STORE_RECIPIENT_MAX) {
		fail(p, ERR_SYNTAX);
		return;
	}
	e->recipients = arena_alloc_array(p->arena, count, sizeof(*e->recipients));
	if (e->recipients == NULL) {
		fail(p, ERR_MEMORY);
		return;
	}
	e->recipient_count = (uint32_t)count;
	json_array_foreach(list, i, item) recipient_from(p, item, &e->recipients[i]);
}

int envelope_parse(const json_t *json, const struct tool_domains *domains, struct arena *arena,
		   struct store_entry *ret_entry)
{
	struct parsing p = {.domains = domains, .arena = arena};
	const json_t *client = json_object_get(json, "client");
	struct store_entry entry = {.body_bytes =
					(uint64_t)json_integer_value(json_object_get(json, "bytes"))};
	struct store_envelope *e = &entry.envelope;

	if (base32_to_u64(slice_of(text_of(json, "id")), &entry.id) != 0 || entry.body_bytes == 0)
		return ERR_SYNTAX;
	e->reverse_path = text_from(&p, json, "reverse_path");
	e->envid = text_from(&p, json, "envid");
	e->flags = words_from(&p, flag_words, json_object_get(json, "flags"));
	e->body = strcmp(text_of(json, "body"), "8bitmime") == 0 ? STORE_BODY_8BITMIME : STORE_BODY_7BIT;
	e->arrival_ms = time_from(&p, json, "arrival");
	e->client_address = text_from(&p, client, "address");
	e->client_name = text_from(&p, client, "name");
	e->helo = text_from(&p, client, "helo");
	e->message_id = text_from(&p, json, "message_id");
	recipients_from(&p, json_object_get(json, "recipients"), e);
	if (p.error == 0)
		*ret_entry = entry;
	return p.error;
}
