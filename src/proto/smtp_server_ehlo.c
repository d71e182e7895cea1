/* EHLO and HELO (RFC 5321 §4.1.1.1). Whatever name is given is taken: many are wrong, and it is for the
 * filters to judge.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proto/smtp_server_private.h"
#include "proto/utf8.h"

/* The first word, if it is printable. */
static bool take_name(struct slice arguments, struct slice *ret_name)
{
	struct slice name = slice_upto(arguments, slice_find(arguments, ' '));

	if (name.size == 0 || name.size > ADDRESS_DOMAIN_MAX)
		return false;
	for (size_t i = 0; i < name.size;) {
		size_t size = utf8_char_size(slice_from(name, i));
		if (size == 0 || (unsigned char)name.data[i] <= ' ' || name.data[i] == 127)
			return false;
		i += size;
	}
	*ret_name = name;
	return true;
}

static bool greet(struct smtp_server *s, const char *verb, struct slice arguments)
{
	struct slice name;

	if (!take_name(arguments, &name)) {
		smtp_server_error(s, 501, "5.5.4", "%s needs the name of your host: %s mail.example.com",
				  verb, verb);
		return false;
	}
	smtp_server_reset(s);
	memcpy(s->helo, name.data, name.size);
	s->helo_size = name.size;
	s->greeted = true;
	return true;
}

void smtp_server_do_helo(struct smtp_server *s, struct slice arguments, int64_t now_us)
{
	if (!greet(s, "HELO", arguments))
		return;
	s->extended = false;
	smtp_server_reply(s, 250, NULL, "%s", s->config.hostname);
}

void smtp_server_do_ehlo(struct smtp_server *s, struct slice arguments, int64_t now_us)
{
	const struct smtp_server_config *c = &s->config;

	if (!greet(s, "EHLO", arguments))
		return;
	s->extended = true;
	smtp_server_reply(
	    s, 250, NULL, "%s\nPIPELINING\nSIZE %" PRIu64 "\n8BITMIME\nENHANCEDSTATUSCODES%s%s%s%s%s",
	    c->hostname, c->message_bytes_max, c->offer_chunking ? "\nCHUNKING" : "",
	    c->offer_dsn ? "\nDSN" : "", c->offer_smtputf8 ? "\nSMTPUTF8" : "", c->offer_etrn ? "\nETRN" : "",
	    c->offer_starttls && !s->tls_active ? "\nSTARTTLS" : "");
}
