#include "os/dns_message.h"

#include <stdio.h>
#include <string.h>

enum {
	RCODE_NXDOMAIN = 3,
	LABEL_MAX = 63,
	JUMPS_MAX = 128, /* compression pointers in one name: it has not more labels */
};

/* A cursor in network byte order. Once it has run past the end it stays failed and reads zeros. */
struct cursor {
	struct slice message;
	size_t at;
	bool failed;
};

static uint8_t read_u8(struct cursor *c)
{
	if (c->failed || c->at >= c->message.size) {
		c->failed = true;
		return 0;
	}
	return (uint8_t)c->message.data[c->at++];
}

static uint16_t read_u16(struct cursor *c)
{
	uint16_t high = read_u8(c);

	return (uint16_t)(high << 8 | read_u8(c));
}

static uint32_t read_u32(struct cursor *c)
{
	uint32_t high = read_u16(c);

	return high << 16 | read_u16(c);
}

static void skip(struct cursor *c, size_t size)
{
	if (c->failed || size > c->message.size - c->at)
		c->failed = true;
	else
		c->at += size;
}

/* --- names ----------------------------------------------------------------------------------- */

struct name {
	char text[RESOLVER_NAME_MAX + 1]; /* lower case, without the last dot */
	size_t size;
	bool odd; /* holds a byte that no host name has, or is too long */
};

static void add_byte(struct name *name, uint8_t byte)
{
	bool letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
	bool fine = letter || (byte >= '0' && byte <= '9') || byte == '-' || byte == '_' || byte == '.';

	if (!fine || name->size >= RESOLVER_NAME_MAX) {
		name->odd = true;
		return;
	}
	name->text[name->size++] = (char)(byte >= 'A' && byte <= 'Z' ? byte - 'A' + 'a' : byte);
}

static void read_label(struct cursor *c, size_t size, struct name *name)
{
	if (name->size > 0)
		add_byte(name, '.');
	for (size_t i = 0; i < size; i++) {
		uint8_t byte = read_u8(c);
		if (byte == '.')
			name->odd = true;
		add_byte(name, byte);
	}
}

/* Pointers must lead backwards, so that none can lead in a circle (RFC 1035 §4.1.4: "a prior occurrence"). */
static void read_name(struct cursor *c, struct name *ret_name)
{
	struct cursor at = *c;
	bool jumped = false;
	size_t lowest = c->at;

	*ret_name = (struct name){.size = 0};
	for (int i = 0; i < JUMPS_MAX * 2; i++) {
		uint8_t size = read_u8(&at);
		if (size > LABEL_MAX && size < 0xc0)
			break; /* reserved */
		if (size >= 0xc0) {
			size_t target = (size_t)(size & 0x3fu) << 8 | read_u8(&at);
			if (at.failed || target >= lowest)
				break;
			if (!jumped)
				c->at = at.at;
			jumped = true;
			at.at = lowest = target;
			continue;
		}
		if (size > 0) {
			read_label(&at, size, ret_name);
			continue;
		}
		if (!jumped)
			c->at = at.at;
		c->failed = c->failed || at.failed;
		return;
	}
	c->failed = true;
}

/* --- records --------------------------------------------------------------------------------- */

static uint32_t ttl_of(uint32_t wire)
{
	return wire > INT32_MAX ? 0 : wire; /* RFC 2181 §8 */
}

static void lower_ttl(struct resolver_answer *answer, uint32_t ttl_s)
{
	if (ttl_s < answer->ttl_s)
		answer->ttl_s = ttl_s;
}

/* Sorted by preference; of those with the same one, the first stays first. The worst falls off the end. */
static void add_mx(struct resolver_answer *answer, uint16_t preference, const struct name *host)
{
	size_t at = answer->mx_count;

	while (at > 0 && answer->mx[at - 1].preference > preference)
		at--;
	if (at >= RESOLVER_MX_MAX)
		return;
	if (answer->mx_count < RESOLVER_MX_MAX)
		answer->mx_count++;
	memmove(&answer->mx[at + 1], &answer->mx[at], (answer->mx_count - 1 - at) * sizeof(answer->mx[0]));
	answer->mx[at].preference = preference;
	memcpy(answer->mx[at].host, host->text, host->size);
	answer->mx[at].host[host->size] = '\0';
}

static void read_mx(struct cursor *c, struct resolver_answer *answer)
{
	struct name host;
	uint16_t preference = read_u16(c);

	read_name(c, &host);
	if (!c->failed && !host.odd)
		add_mx(answer, preference, &host);
}

static void read_address(struct cursor *c, uint16_t type, struct resolver_answer *answer)
{
	struct net_address a = {.family = type == DNS_TYPE_A ? 4 : 6};
	size_t size = type == DNS_TYPE_A ? 4 : 16;

	for (size_t i = 0; i < size; i++)
		a.bytes[i] = read_u8(c);
	if (!c->failed && answer->address_count < RESOLVER_ADDRESS_MAX)
		answer->address[answer->address_count++] = a;
}

/* One resource record of the answer section. True when it is of the type that was asked for. */
static bool read_answer(struct cursor *c, uint16_t asked, struct resolver_answer *answer)
{
	struct name owner;

	read_name(c, &owner);
	uint16_t type = read_u16(c);
	uint16_t class = read_u16(c);
	uint32_t ttl_s = ttl_of(read_u32(c));
	uint16_t size = read_u16(c);
	size_t start = c->at;
	bool wanted = class == DNS_CLASS_IN && type == asked;

	if (wanted && type == DNS_TYPE_MX)
		read_mx(c, answer);
	else if (wanted)
		read_address(c, type, answer);
	if (wanted && c->at != start + size)
		c->failed = true; /* its data are shorter or longer than its size says */
	else if (!wanted)
		skip(c, size);
	if (wanted || type == DNS_TYPE_CNAME)
		lower_ttl(answer, ttl_s);
	return wanted;
}

/* How long a negative answer holds: RFC 2308 §5. */
static uint32_t negative_ttl(struct cursor *c, uint16_t authority_count)
{
	for (uint16_t i = 0; i < authority_count && !c->failed; i++) {
		struct name name;
		read_name(c, &name);
		uint16_t type = read_u16(c);
		(void)read_u16(c);
		uint32_t ttl_s = ttl_of(read_u32(c));
		uint16_t size = read_u16(c);
		if (type != DNS_TYPE_SOA) {
			skip(c, size);
			continue;
		}
		read_name(c, &name); /* primary server */
		read_name(c, &name); /* mailbox */
		skip(c, 16);	     /* serial, refresh, retry, expire */
		uint32_t minimum_s = ttl_of(read_u32(c));
		if (!c->failed)
			return ttl_s < minimum_s ? ttl_s : minimum_s;
	}
	return DNS_NEGATIVE_TTL_S;
}

/* A null MX beside others breaks RFC 7505 §3; the others count. */
static void drop_extra_null_mx(struct resolver_answer *answer)
{
	size_t kept = 0;

	for (size_t i = 0; i < answer->mx_count; i++)
		if (answer->mx[i].host[0] != '\0')
			answer->mx[kept++] = answer->mx[i];
	if (kept > 0)
		answer->mx_count = kept;
	else if (answer->mx_count > 1)
		answer->mx_count = 1;
}

static void fail(struct resolver_answer *ret_answer, const char *detail)
{
	memset(ret_answer, 0, sizeof(*ret_answer));
	ret_answer->status = RESOLVER_FAILED;
	(void)snprintf(ret_answer->detail, sizeof(ret_answer->detail), "%s", detail);
}

static void finish(struct resolver_answer *answer, size_t wanted, struct cursor *c, uint16_t authority_count)
{
	drop_extra_null_mx(answer);
	if (answer->mx_count + answer->address_count > 0) {
		answer->status = RESOLVER_OK;
		return;
	}
	if (wanted > 0) {
		fail(answer, "the MX records name no valid host");
		return;
	}
	answer->status = RESOLVER_NODATA;
	lower_ttl(answer, negative_ttl(c, authority_count));
}

void dns_message_read(struct slice message, uint16_t type, struct resolver_answer *ret_answer)
{
	struct cursor c = {.message = message};
	struct name question;
	size_t wanted = 0;

	(void)read_u16(&c); /* id */
	unsigned rcode = read_u16(&c) & 0xfu;
	uint16_t question_count = read_u16(&c), answer_count = read_u16(&c), authority_count = read_u16(&c);
	(void)read_u16(&c); /* additional */
	memset(ret_answer, 0, sizeof(*ret_answer));
	ret_answer->ttl_s = UINT32_MAX;
	for (uint16_t i = 0; i < question_count && !c.failed; i++) {
		read_name(&c, &question);
		skip(&c, 4);
	}
	for (uint16_t i = 0; i < answer_count && !c.failed; i++)
		wanted += read_answer(&c, type, ret_answer) ? 1 : 0;

	if (c.failed) {
		fail(ret_answer, "the answer of the name server is malformed");
	} else if (rcode == 0) {
		finish(ret_answer, wanted, &c, authority_count);
	} else if (rcode == RCODE_NXDOMAIN) {
		uint32_t ttl_s = ret_answer->ttl_s;
		memset(ret_answer, 0, sizeof(*ret_answer));
		ret_answer->status = RESOLVER_NXDOMAIN;
		ret_answer->ttl_s = ttl_s;
		lower_ttl(ret_answer, negative_ttl(&c, authority_count));
	} else {
		fail(ret_answer, "the name server refused to answer");
	}
}
