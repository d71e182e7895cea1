/* Parameters of MAIL and RCPT: SIZE (RFC 1870), BODY (6152), SMTPUTF8 (6531), RET, ENVID, NOTIFY, ORCPT
 * (3461).
 */
#include <inttypes.h>

#include "proto/smtp_server_private.h"
#include "proto/utf8.h"

enum { PARAMS_MAX = 16 /* of one command; at least as many as we know of */ };

struct target {
	struct smtp_server_transaction *transaction; /* of MAIL */
	struct smtp_server_recipient *recipient;     /* of RCPT */
};

struct param {
	struct slice keyword;
	/* Puts the value where it belongs; data == NULL: none was given. False: it was answered. */
	bool (*set)(struct smtp_server *s, struct slice value, const struct target *to);
	bool (*offered)(const struct smtp_server_config *config);
};

static bool bad(struct smtp_server *s, const char *hint)
{
	smtp_server_error(s, 501, "5.5.4", "%s", hint);
	return false;
}

static bool always(const struct smtp_server_config *config)
{
	return true;
}

static bool with_dsn(const struct smtp_server_config *config)
{
	return config->offer_dsn;
}

static bool with_smtputf8(const struct smtp_server_config *config)
{
	return config->offer_smtputf8;
}

static bool set_size(struct smtp_server *s, struct slice value, const struct target *to)
{
	uint64_t max = s->config.message_bytes_max, size = UINT64_MAX;
	int error = slice_to_u64(value, &size);

	if (error == ERR_SYNTAX || value.size > 20)
		return bad(s, "SIZE is a number of bytes: SIZE=12345");
	if (error != 0 || (max != 0 && size > max)) {
		/* No mistake in the command: it is what SIZE is for. */
		smtp_server_reply(s, 552, "5.3.4", "a message may have %" PRIu64 " bytes, yours has more",
				  max);
		return false;
	}
	to->transaction->size_bytes = size;
	return true;
}

static bool set_body(struct smtp_server *s, struct slice value, const struct target *to)
{
	to->transaction->body_8bitmime = slice_equal_nocase(value, SLICE("8BITMIME"));
	if (to->transaction->body_8bitmime || slice_equal_nocase(value, SLICE("7BIT")))
		return true;
	if (!slice_equal_nocase(value, SLICE("BINARYMIME")))
		return bad(s, "BODY is 7BIT or 8BITMIME");
	smtp_server_error(s, 555, "5.5.4", "BINARYMIME is not offered: BODY is 7BIT or 8BITMIME");
	return false;
}

static bool set_smtputf8(struct smtp_server *s, struct slice value, const struct target *to)
{
	to->transaction->smtputf8 = true;
	return value.data == NULL || bad(s, "SMTPUTF8 has no value");
}

static bool set_ret(struct smtp_server *s, struct slice value, const struct target *to)
{
	to->transaction->ret_full = slice_equal_nocase(value, SLICE("FULL"));
	to->transaction->ret_hdrs = slice_equal_nocase(value, SLICE("HDRS"));
	return to->transaction->ret_full || to->transaction->ret_hdrs || bad(s, "RET is FULL or HDRS");
}

static bool set_envid(struct smtp_server *s, struct slice value, const struct target *to)
{
	if (value.size == 0 || value.size > SERVER_ENVID_MAX || !address_valid_xtext(value))
		return bad(s, "ENVID is xtext of up to 100 characters");
	to->transaction->envid = value;
	return true;
}

static bool set_notify_word(struct slice word, struct smtp_server_recipient *r)
{
	bool *flag = NULL;

	if (slice_equal_nocase(word, SLICE("NEVER")))
		flag = &r->notify_never;
	else if (slice_equal_nocase(word, SLICE("SUCCESS")))
		flag = &r->notify_success;
	else if (slice_equal_nocase(word, SLICE("FAILURE")))
		flag = &r->notify_failure;
	else if (slice_equal_nocase(word, SLICE("DELAY")))
		flag = &r->notify_delay;
	if (flag == NULL)
		return false;
	*flag = true;
	return true;
}

static bool set_notify(struct smtp_server *s, struct slice value, const struct target *to)
{
	struct smtp_server_recipient *r = to->recipient;
	struct slice word;
	bool good = value.size > 0;

	while (slice_split(&value, ',', &word))
		good = set_notify_word(word, r) && good;
	if (r->notify_never && (r->notify_success || r->notify_failure || r->notify_delay))
		good = false;
	r->notify_given = good;
	return good || bad(s, "NOTIFY is NEVER, or some of SUCCESS,FAILURE,DELAY");
}

/* utf-8-addr-unitext of RFC 6533 §3: UTF-8 as it is, but for what would end the parameter. */
static bool valid_unitext(struct slice text)
{
	for (size_t i = 0; i < text.size;) {
		size_t size = utf8_char_size(slice_from(text, i));
		if (size == 0 || (unsigned char)text.data[i] <= ' ' || text.data[i] == '=' ||
		    text.data[i] == 127)
			return false;
		i += size;
	}
	return true;
}

static bool set_orcpt(struct smtp_server *s, struct slice value, const struct target *to)
{
	size_t semicolon = slice_find(value, ';');
	struct slice type = slice_upto(value, semicolon), address = slice_from(value, semicolon + 1);
	bool unitext = s->transaction.smtputf8 && slice_equal_nocase(type, SLICE("utf-8"));

	if (type.size == 0 || address.size == 0 || value.size > SERVER_ORCPT_MAX ||
	    !address_valid_xtext(type) || !(unitext ? valid_unitext(address) : address_valid_xtext(address)))
		return bad(s, "ORCPT is rfc822; and an address as xtext, up to 500 characters");
	to->recipient->orcpt = value;
	return true;
}

static const struct param mail_params[] = {
    {.keyword = {"SIZE", 4}, set_size, always},
    {.keyword = {"BODY", 4}, set_body, always},
    {.keyword = {"SMTPUTF8", 8}, set_smtputf8, with_smtputf8},
    {.keyword = {"RET", 3}, set_ret, with_dsn},
    {.keyword = {"ENVID", 5}, set_envid, with_dsn},
};

static const struct param rcpt_params[] = {
    {.keyword = {"NOTIFY", 6}, set_notify, with_dsn},
    {.keyword = {"ORCPT", 5}, set_orcpt, with_dsn},
};

_Static_assert(sizeof(mail_params) / sizeof(mail_params[0]) <= PARAMS_MAX, "room for what was given");
_Static_assert(sizeof(rcpt_params) / sizeof(rcpt_params[0]) <= PARAMS_MAX, "room for what was given");

struct known {
	const struct param *params;
	size_t count;
	bool given[PARAMS_MAX];
};

static bool set_param(struct smtp_server *s, struct slice text, struct known *known, const struct target *to)
{
	size_t equals = slice_find(text, '=');
	struct slice keyword = slice_upto(text, equals);
	struct slice value = equals < text.size ? slice_from(text, equals + 1) : slice_of(NULL);

	for (size_t i = 0; i < known->count; i++) {
		const struct param *p = &known->params[i];
		if (!slice_equal_nocase(keyword, p->keyword) || !p->offered(&s->config))
			continue;
		if (known->given[i])
			return bad(s, "a parameter was given twice");
		known->given[i] = true;
		return p->set(s, value, to);
	}
	smtp_server_error(s, 555, "5.5.4", "parameter not known or not offered: %.*s",
			  SLICE_ARG(slice_upto(keyword, 40)));
	return false;
}

static bool set_params(struct smtp_server *s, struct slice text, struct known *known, const struct target *to)
{
	struct slice word;

	if (text.size > 0 && text.data[0] != ' ')
		return bad(s, "a blank stands between the address and a parameter");
	while (slice_split(&text, ' ', &word))
		if (word.size > 0 && !set_param(s, word, known, to))
			return false;
	return true;
}

bool smtp_server_mail_params(struct smtp_server *s, struct slice text, struct smtp_server_transaction *t)
{
	struct known known = {.params = mail_params, .count = sizeof(mail_params) / sizeof(mail_params[0])};

	return set_params(s, text, &known, &(struct target){.transaction = t});
}

bool smtp_server_rcpt_params(struct smtp_server *s, struct slice text, struct smtp_server_recipient *r)
{
	struct known known = {.params = rcpt_params, .count = sizeof(rcpt_params) / sizeof(rcpt_params[0])};

	return set_params(s, text, &known, &(struct target){.recipient = r});
}
