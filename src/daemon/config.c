#include "daemon/config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <ini.h>

#include "base/check.h"
#include "daemon/cli.h"
#include "daemon/suggest.h"
#include "proto/address.h"

/* One run over the options and the file. */
struct reading {
	struct config *config;
	char *message;
	const char *where; /* "--" for options, "" for keys of a file */
	int error;
	bool listen_from_file; /* the options' first --listen replaces them */
};

static int fail(struct reading *r, const char *key, const char *value, const char *what)
{
	(void)snprintf(r->message, CONFIG_MESSAGE_SIZE, "%s%s %s: %s", r->where, key, value, what);
	return ERR_SYNTAX;
}

static int copy(struct reading *r, const char *value, const char **ret_copy)
{
	const char *string = arena_string(&r->config->arena, slice_of(value));
	if (string == NULL) {
		(void)snprintf(r->message, CONFIG_MESSAGE_SIZE, "out of memory");
		return ERR_MEMORY;
	}
	*ret_copy = string;
	return 0;
}

/* "ADDR:PORT" or "[ADDR]:PORT"; with fallback_port also without ":PORT". */
static int parse_address(struct slice text, uint16_t fallback_port, struct net_address *ret_address)
{
	size_t colon = slice_find_last(text, ':');
	bool v6 = slice_starts(text, SLICE("["));
	bool has_port =
	    colon < text.size && (v6 ? text.data[colon - 1] == ']' : slice_find(text, ':') == colon);
	uint64_t port = fallback_port;
	if (v6 && slice_find(text, ']') == text.size)
		return ERR_SYNTAX;
	if (has_port && (slice_to_u64(slice_from(text, colon + 1), &port) != 0 || port > UINT16_MAX))
		return ERR_SYNTAX;
	if (!has_port && fallback_port == 0)
		return ERR_MISSING;
	return net_address_parse(has_port ? slice_upto(text, colon) : text, (uint16_t)port, ret_address);
}

static int take_address(struct reading *r, const char *key, const char *value, uint16_t fallback_port,
			struct net_address *ret_address)
{
	int error = parse_address(slice_of(value), fallback_port, ret_address);
	if (error == ERR_MISSING)
		return fail(r, key, value, "the port is missing: write ADDRESS:PORT, for example 0.0.0.0:25");
	if (error != 0)
		return fail(r, key, value,
			    "not an address: write ADDRESS:PORT, for example 127.0.0.1:2525 or [::1]:2525");
	return 0;
}

static int take_data(struct reading *r, const char *key, const char *value)
{
	return copy(r, value, &r->config->data);
}

static int take_file(struct reading *r, const char *key, const char *value)
{
	return copy(r, value, &r->config->file);
}

static int take_listen(struct reading *r, const char *key, const char *value)
{
	struct config *config = r->config;
	struct net_address address;
	int error = take_address(r, key, value, 0, &address);
	if (error != 0)
		return error;
	if (r->listen_from_file) {
		config->listen_count = 0;
		r->listen_from_file = false;
	}
	if (config->listen_count == CONFIG_LISTEN_MAX)
		return fail(r, key, value, "too many addresses; 16 are possible");
	config->listen[config->listen_count++] = address;
	return 0;
}

static int take_api(struct reading *r, const char *key, const char *value)
{
	return take_address(r, key, value, 0, &r->config->api);
}

static int take_resolver(struct reading *r, const char *key, const char *value)
{
	return take_address(r, key, value, 53, &r->config->resolver);
}

static int take_hostname(struct reading *r, const char *key, const char *value)
{
	if (!address_valid_domain(slice_of(value), false))
		return fail(r, key, value, "not a full host name such as relay.example.net");
	return copy(r, value, &r->config->hostname);
}

static int take_store(struct reading *r, const char *key, const char *value)
{
	if (strcmp(value, "spool") != 0 && strcmp(value, "ram") != 0)
		return fail(r, key, value,
			    "this version has the embedded store, spool (the default), "
			    "and for trials ram, which forgets everything at its end");
	return copy(r, value, &r->config->store);
}

static bool valid_network(struct slice text)
{
	struct slice host = slice_upto(text, slice_find(text, '/'));
	struct net_address address;
	uint64_t bits = 0;
	if (net_address_parse(host, 0, &address) != 0)
		return false;
	if (host.size == text.size)
		return true;
	return slice_to_u64(slice_from(text, host.size + 1), &bits) == 0 &&
	       bits <= (address.family == 4 ? 32 : 128);
}

static int take_normalise(struct reading *r, const char *key, const char *value)
{
	struct slice rest = slice_of(value), network;
	while (slice_split(&rest, ',', &network))
		if (!valid_network(slice_trim(network)))
			return fail(r, key, value, "not networks such as 192.0.2.0/24,2001:db8::/32");
	return copy(r, value, &r->config->normalise);
}

/* HOST, HOST:PORT or [v6]:PORT, as admin_domain_add takes them. */
static bool valid_host(struct slice text)
{
	struct net_address address;
	uint64_t port = 25;
	if (parse_address(text, 25, &address) == 0)
		return true;
	size_t colon = slice_find(text, ':');
	if (colon < text.size &&
	    (slice_to_u64(slice_from(text, colon + 1), &port) != 0 || port == 0 || port > UINT16_MAX))
		return false;
	struct slice name = slice_upto(text, colon);
	return address_valid_domain(name, true) || slice_equal_nocase(name, SLICE("localhost"));
}

static bool valid_hosts(struct slice hosts)
{
	struct slice host;
	while (slice_split(&hosts, ',', &host))
		if (!valid_host(slice_trim(host)))
			return false;
	return true;
}

static int take_domain(struct reading *r, const char *key, const char *value)
{
	struct config *config = r->config;
	struct slice text = slice_of(value);
	size_t equals = slice_find(text, '=');
	struct slice name = slice_trim(slice_upto(text, equals));
	bool has_hosts = equals < text.size;
	if (!address_valid_domain(name, true))
		return fail(r, key, value, "not a domain name: write NAME or NAME=HOST[:PORT][,HOST...]");
	if (has_hosts && !valid_hosts(slice_from(text, equals + 1)))
		return fail(r, key, value,
			    "not a destination: write NAME=HOST[:PORT][,HOST...], "
			    "for example example.com=mail.example.com or example.com=192.0.2.1:2525");
	if (config->domain_count == CONFIG_DOMAIN_MAX)
		return fail(r, key, value,
			    "too many domains here: add the others with `restante domain add`");
	struct config_domain *domain = arena_alloc(&config->arena, sizeof(*domain));
	if (domain == NULL)
		return fail(r, key, value, "out of memory");
	domain->name = arena_string(&config->arena, name);
	domain->hosts = has_hosts ? arena_string(&config->arena, slice_from(text, equals + 1)) : NULL;
	if (domain->name == NULL || (has_hosts && domain->hosts == NULL))
		return fail(r, key, value, "out of memory");
	*config->domains_end = domain;
	config->domains_end = &domain->next;
	config->domain_count++;
	return 0;
}

static const struct {
	const char *name;
	int (*take)(struct reading *r, const char *key, const char *value);
	bool option_only;
} keys[] = {
    {"data", take_data, false},		{"listen", take_listen, false},	      {"api", take_api, false},
    {"hostname", take_hostname, false}, {"domain", take_domain, false},	      {"store", take_store, false},
    {"resolver", take_resolver, false}, {"normalise", take_normalise, false}, {"config", take_file, true},
};
enum { KEY_COUNT = sizeof(keys) / sizeof(keys[0]) };

static int unknown(struct reading *r, const char *key)
{
	const char *names[KEY_COUNT];
	for (size_t i = 0; i < KEY_COUNT; i++)
		names[i] = keys[i].name;
	const char *meant = suggest(key, names, KEY_COUNT);
	if (meant != NULL)
		(void)snprintf(r->message, CONFIG_MESSAGE_SIZE, "%s%s is not known; did you mean %s%s?",
			       r->where, key, r->where, meant);
	else
		(void)snprintf(r->message, CONFIG_MESSAGE_SIZE,
			       "%s%s is not known; see `restante help serve`", r->where, key);
	return ERR_SYNTAX;
}

static int take(struct reading *r, const char *key, const char *value, bool from_file)
{
	for (size_t i = 0; i < KEY_COUNT; i++) {
		if (strcmp(keys[i].name, key) != 0 || (from_file && keys[i].option_only))
			continue;
		if (*value == '\0') {
			(void)snprintf(r->message, CONFIG_MESSAGE_SIZE, "%s%s needs a value", r->where, key);
			return ERR_SYNTAX;
		}
		return keys[i].take(r, key, value);
	}
	return unknown(r, key);
}

/* --- options --- */

/* "--name=value", or "--name" with the value in the next argument. file_pass: only --config is looked at. */
static int read_option(struct reading *r, int argc, char **argv, int *i, bool file_pass)
{
	struct slice text = slice_of(argv[*i]);
	char name[CONFIG_LINE_MAX];
	if (!slice_starts(text, SLICE("--"))) {
		(void)snprintf(r->message, CONFIG_MESSAGE_SIZE,
			       "%s: serve takes options only; see `restante help serve`", argv[*i]);
		return ERR_SYNTAX;
	}
	text = slice_from(text, 2);
	size_t equals = slice_find(text, '=');
	(void)snprintf(name, sizeof(name), "%.*s", SLICE_ARG(slice_upto(text, equals)));
	const char *value = "";
	if (equals < text.size)
		value = text.data + equals + 1;
	else if (*i + 1 < argc)
		value = argv[++*i];
	if (file_pass != (strcmp(name, "config") == 0))
		return 0;
	return take(r, name, value, false);
}

static int read_options(struct reading *r, int argc, char **argv, bool file_pass)
{
	r->where = "--";
	for (int i = 0; i < argc; i++) {
		int error = read_option(r, argc, argv, &i, file_pass);
		if (error != 0)
			return error;
	}
	return 0;
}

/* --- the file --- */

struct lines {
	FILE *file;
	int number;
	struct reading *reading;
};

static int key_found(void *user, const char *section, const char *name, const char *value)
{
	struct lines *lines = user;
	struct reading *r = lines->reading;
	char message[CONFIG_MESSAGE_SIZE];
	if (r->error != 0)
		return 0;
	if (*section != '\0') {
		(void)snprintf(r->message, CONFIG_MESSAGE_SIZE, "[%s]: there are no sections in this file",
			       section);
		r->error = ERR_SYNTAX;
	} else {
		r->error = take(r, name, value, true);
	}
	if (r->error == 0)
		return 1;
	memcpy(message, r->message, sizeof(message));
	(void)snprintf(r->message, CONFIG_MESSAGE_SIZE, "%.100s line %d: %.900s", r->config->file,
		       lines->number, message);
	return 0;
}

/* The library does not say which line it is at, so its lines are counted here. */
static char *next_line(char *text, int size, void *stream)
{
	struct lines *lines = stream;
	char *line = fgets(text, size, lines->file);
	if (line != NULL)
		lines->number++;
	return line;
}

static int read_file(struct reading *r)
{
	struct lines lines = {.file = fopen(r->config->file, "re"), .reading = r};
	if (lines.file == NULL) {
		(void)snprintf(r->message, CONFIG_MESSAGE_SIZE, "--config %s: cannot be read: %s",
			       r->config->file, strerror(errno));
		return ERR_IO;
	}
	r->where = "";
	int line = ini_parse_stream(next_line, &lines, key_found, &lines);
	(void)fclose(lines.file);
	if (r->error == 0 && line != 0) {
		(void)snprintf(r->message, CONFIG_MESSAGE_SIZE,
			       "%s line %d: not understood: write key = value", r->config->file, line);
		return ERR_SYNTAX;
	}
	r->listen_from_file = r->config->listen_count > 0;
	return r->error;
}

/* --- all of it --- */

static bool read_first_line(const char *path, char *ret_line, size_t size)
{
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return false;
	bool read = fgets(ret_line, (int)size, file) != NULL;
	(void)fclose(file);
	if (read)
		ret_line[strcspn(ret_line, " \t\r\n")] = '\0';
	return read;
}

/* The mail name of a Debian system, else the host's; a name without a domain gets ".localdomain", because
 * some servers refuse a bare one in EHLO. The resolver is not asked: it may be dead, and start-up must not
 * wait for it. */
static const char *default_hostname(struct arena *arena)
{
	char name[256] = "", full[sizeof(name) + 16];
	if (!read_first_line("/etc/mailname", name, sizeof(name)) ||
	    !address_valid_domain(slice_of(name), false))
		if (gethostname(name, sizeof(name) - 1) != 0)
			name[0] = '\0';
	if (address_valid_domain(slice_of(name), false))
		return arena_string(arena, slice_of(name));
	(void)snprintf(full, sizeof(full), "%s.localdomain", name);
	if (!address_valid_domain(slice_of(full), false))
		return "restante.localdomain";
	return arena_string(arena, slice_of(full));
}

void config_init(struct config *config)
{
	*config = (struct config){.store = "spool"};
	arena_init(&config->arena, CONFIG_BYTES_MAX);
	config->domains_end = &config->domains;
}

void config_deinit(struct config *config)
{
	arena_deinit(&config->arena);
}

int config_read(struct config *config, int argc, char **argv, char ret_message[CONFIG_MESSAGE_SIZE])
{
	struct reading r = {.config = config, .message = ret_message};
	int error = read_options(&r, argc, argv, true);
	if (error == 0 && config->file != NULL)
		error = read_file(&r);
	if (error == 0)
		error = read_options(&r, argc, argv, false);
	if (error != 0)
		return error;
	if (config->data == NULL)
		config->data = cli_default_data();
	if (config->hostname == NULL)
		config->hostname = default_hostname(&config->arena);
	return config->hostname != NULL ? 0 : ERR_MEMORY;
}

const char *config_help(void)
{
	return "restante serve [OPTION...]: accept, hold and deliver mail. Everything has a default.\n"
	       "\n"
	       "  --data DIR             everything is kept here (root: /var/lib/restante, else "
	       "./restante-data)\n"
	       "  --listen ADDR:PORT     accept SMTP here; may be given more than once (port 25 as root, "
	       "else 2525)\n"
	       "  --domain NAME[=HOST[:PORT][,HOST...]]\n"
	       "                         serve this domain; its mail goes to these hosts, else to those of "
	       "its MX\n"
	       "  --hostname FQDN        our name in greetings and Received lines (the system's mail name)\n"
	       "  --api ADDR:PORT        the HTTP API also here, with the token in DIR/api.token\n"
	       "  --resolver ADDR[:PORT] ask this DNS server (those of the system)\n"
	       "  --store spool|ram      where mail is kept: DIR/spool, or for trials in memory\n"
	       "  --normalise NET[,...]  turn bare line feeds from these networks into line ends instead of "
	       "refusing\n"
	       "  --config FILE          `key = value` lines: the names above without the dashes\n";
}
