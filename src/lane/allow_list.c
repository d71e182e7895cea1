#include "lane/allow_list.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "lane/words.h"

struct sign {
	enum platform platform;
	const char *banner, *ehlo, *host; /* lists as in words.h; host: the end of the name */
};

/* First match wins: special ones before what they are built of. */
static const struct sign signs[] = {
    {PLATFORM_MICROSOFT_365, "mail.protection.outlook.com|olc.protection.outlook.com", NULL,
     ".protection.outlook.com"},
    {PLATFORM_GOOGLE, "mx.google.com", NULL, ".google.com"},
    {PLATFORM_GOOGLE, "gsmtp", NULL, ".googlemail.com"},
    {PLATFORM_PROOFPOINT, "pphosted.com|ppe-hosted.com|proofpoint", NULL, ".pphosted.com"},
    {PLATFORM_PROOFPOINT, NULL, NULL, ".ppe-hosted.com"},
    {PLATFORM_MIMECAST, "mimecast.com|mimecast", NULL, ".mimecast.com"},
    {PLATFORM_BARRACUDA, "barracuda*", NULL, ".barracudanetworks.com"},
    {PLATFORM_IRONPORT, "ironport|cisco", NULL, ".iphmx.com"},
    {PLATFORM_EXCHANGE, "microsoft esmtp mail service", "x-exps|x-anonymoustls|xexch50|x-link2state", NULL},
    {PLATFORM_MAILCOW, "mailcow", NULL, NULL},
    {PLATFORM_ZIMBRA, "zimbra", NULL, NULL},
    {PLATFORM_POSTFIX, "postfix", NULL, NULL},
    {PLATFORM_EXIM, "exim", NULL, NULL},
    {PLATFORM_SENDMAIL, "sendmail", NULL, NULL},
    {PLATFORM_OPENSMTPD, "opensmtpd", NULL, NULL},
    {PLATFORM_HMAILSERVER, "hmailserver", NULL, NULL},
    {PLATFORM_MAILENABLE, "mailenable", NULL, NULL},
    {PLATFORM_SMARTERMAIL, "smartermail", NULL, NULL},
    {PLATFORM_KERIO, "kerio", NULL, NULL},
    {PLATFORM_DOMINO, "domino", NULL, NULL},
    {PLATFORM_JAMES, "james", NULL, NULL},
    {PLATFORM_HARAKA, "haraka*", NULL, NULL},
    {PLATFORM_STALWART, "stalwart", NULL, NULL},
};

struct advice {
	const char *name, *step; /* %s: our address */
};

static const struct advice advices[PLATFORM_END] = {
    [PLATFORM_UNKNOWN] =
	{"", "On the domain's server, let %s send mail without rate limits, block lists, SPF and "
	     "DMARC checks, as for a gateway of your own"},
    [PLATFORM_EXCHANGE] =
	{"Exchange",
	 "In the Exchange shell: New-ReceiveConnector -Name restante -TransportRole FrontendTransport -Usage "
	 "Custom "
	 "-Bindings 0.0.0.0:25 -RemoteIPRanges %s -AuthMechanism ExternalAuthoritative -PermissionGroups "
	 "ExchangeServers; and add the address with Add-IPAllowListEntry where the antispam agents are "
	 "installed"},
    [PLATFORM_MICROSOFT_365] = {"Microsoft 365", "In the Exchange admin center, Mail flow, Connectors: add "
						 "one from \"Partner organization\" by IP address %s; "
						 "then set Enhanced Filtering for it to skip that address, "
						 "and add it to the IP Allow List of the connection "
						 "filter policy (security.microsoft.com, Anti-spam)"},
    [PLATFORM_GOOGLE] =
	{"Google Workspace",
	 "In the Admin console, Apps, Google Workspace, Gmail, Spam, phishing and malware, Inbound "
	 "gateway: add the gateway address %s and switch \"Automatically detect external IP\" on"},
    [PLATFORM_POSTFIX] =
	{"Postfix",
	 "Put \"%s permit\" into a cidr table and name it first, as check_client_access cidr:FILE, in "
	 "smtpd_client_restrictions, smtpd_helo_restrictions and smtpd_sender_restrictions (in "
	 "smtpd_recipient_restrictions after reject_unauth_destination), in postscreen_access_list, and "
	 "the address in smtpd_client_event_limit_exceptions"},
    [PLATFORM_MAILCOW] = {"mailcow",
			  "In the admin page, Configuration, Options, Forwarding Hosts: add %s with the "
			  "spam filter off"},
    [PLATFORM_ZIMBRA] =
	{"Zimbra",
	 "Put \"%s permit\" into a cidr table and run: zmprov mcf +zimbraMtaRestriction "
	 "\"check_client_access "
	 "cidr:FILE\"; and add the address to @mynetworks of amavisd (a policy bank without checks)"},
    [PLATFORM_EXIM] = {"Exim",
		       "Add %s to the host list of the ACLs' first accept (cPanel: WHM, Exim Configuration "
		       "Manager, Trusted SMTP IP addresses; Debian: local_host_whitelist)"},
    [PLATFORM_SENDMAIL] = {"sendmail",
			   "Add \"Connect:%s OK\" to /etc/mail/access (not RELAY), rebuild it with makemap, "
			   "and exempt the address in each milter and in ratecontrol"},
    [PLATFORM_OPENSMTPD] = {"OpenSMTPD",
			    "In smtpd.conf add a table with %s, and put \"match from src <table> for "
			    "domain ...\" before the rules and filters that reject it"},
    [PLATFORM_HMAILSERVER] =
	{"hMailServer",
	 "In hMailServer Administrator, Settings, Advanced, IP Ranges: add a range of its own for %s "
	 "with a priority above 15, without spam protection and without authentication for "
	 "external to local; and the address under Anti-spam, White listing"},
    [PLATFORM_MAILENABLE] = {"MailEnable",
			     "In the management console, Connectors, SMTP, Properties, Whitelist: add %s, "
			     "and exempt it under Inbound, Access Control"},
    [PLATFORM_SMARTERMAIL] = {"SmarterMail",
			      "In Settings, Security, Whitelist: add %s for SMTP; and under Antispam, "
			      "Incoming Gateways, as a gateway"},
    [PLATFORM_KERIO] = {"Kerio Connect",
			"In Configuration, Definitions, IP Address Groups: put %s into a group, and name "
			"that group in Spam Filter (allow list) and SMTP Server, Security Options"},
    [PLATFORM_DOMINO] =
	{"Domino", "In the server's configuration document, Router/SMTP, Restrictions and Controls, SMTP "
		   "Inbound Controls: exclude %s from the connection, DNS list and sender checks"},
    [PLATFORM_JAMES] = {"Apache James",
			"In smtpserver.xml add %s to authorizedAddresses, and take it out of the fast-fail "
			"handlers"},
    [PLATFORM_HARAKA] = {"Haraka",
			 "Add %s to connect.ip (access allow list) and to the exempt lists of karma, spf and "
			 "dns-list"},
    [PLATFORM_STALWART] =
	{"Stalwart", "In Settings, Security, Allowed IPs: add %s, and let the SPF, DMARC and spam rules "
		     "not run for remote_ip of that address"},
    [PLATFORM_PROOFPOINT] = {"Proofpoint",
			     "Add %s to the Safe Sender list of IP addresses (Essentials: Security "
			     "Settings, Email, Sender Lists) or to the PPS policy route default_inbound's "
			     "allowed hosts"},
    [PLATFORM_BARRACUDA] = {"Barracuda",
			    "Under Block/Accept, IP Filters, add %s as Exempt; and as Trusted Forwarder "
			    "under Basic, IP Configuration"},
    [PLATFORM_MIMECAST] = {"Mimecast",
			   "In Administration, Gateway, Policies: add a Permitted Senders policy and a DNS "
			   "Authentication bypass for the source address %s"},
    [PLATFORM_IRONPORT] = {"Cisco Secure Email",
			   "In Mail Policies, HAT Overview: add %s to a sender group like RELAYLIST or "
			   "ALLOWED_LIST with a policy without throttling and reputation; and "
			   "as an incoming relay under Network, Incoming Relays"},
};

static bool ends_with(struct slice host, const char *end)
{
	struct slice tail = slice_of(end);

	return host.size >= tail.size && slice_equal_nocase(slice_from(host, host.size - tail.size), tail);
}

static bool sign_fits(const struct sign *sign, const struct words_text *banner, const struct words_text *ehlo,
		      struct slice host)
{
	return (sign->banner != NULL && words_any(banner, sign->banner)) ||
	       (sign->ehlo != NULL && words_any(ehlo, sign->ehlo)) ||
	       (sign->host != NULL && ends_with(host, sign->host));
}

enum platform platform_of(struct slice banner, struct slice ehlo, struct slice host)
{
	struct words_text banner_words, ehlo_words;

	words_clean(banner, &banner_words);
	words_clean(ehlo, &ehlo_words);
	for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
		if (sign_fits(&signs[i], &banner_words, &ehlo_words, host))
			return signs[i].platform;
	}
	return PLATFORM_UNKNOWN;
}

static const struct advice *advice_of(enum platform platform)
{
	return &advices[(unsigned)platform < PLATFORM_END ? platform : PLATFORM_UNKNOWN];
}

const char *platform_name(enum platform platform)
{
	return advice_of(platform)->name;
}

/* What helps whatever the server is; NULL: nothing besides the allow list. */
static const char *own_remedy(enum verdict_reason reason)
{
	switch ((int)reason) {
	case REASON_US_REVERSE_DNS:
		return "The relay's address needs a PTR record that names %s, and that name an address "
		       "record back";
	case REASON_US_HELO:
		return "The relay's name %s must be a full one that resolves to its address";
	case REASON_US_BLOCK_LIST:
	case REASON_US_REPUTATION:
		return "Look whether the address of %s is really listed, and have it taken off";
	case REASON_US_TLS:
		return "Or let %s use STARTTLS: look why the handshake failed";
	default:
		return NULL;
	}
}

/* The tables have one %s each; it is replaced here, so that no format is taken from a variable. */
static size_t fill(const char *pattern, const char *value, char *ret_text, size_t size)
{
	const char *hole = strstr(pattern, "%s");

	check(hole != NULL && size > 0);
	int length = snprintf(ret_text, size, "%.*s%s%s", (int)(hole - pattern), pattern, value, hole + 2);
	return length < 0 ? 0 : (size_t)length < size ? (size_t)length : size - 1;
}

size_t allow_list_advice(enum platform platform, enum verdict_reason reason, const char *address,
			 const char *hostname, char *ret_text, size_t size)
{
	const char *remedy = own_remedy(reason);
	size_t length = fill(advice_of(platform)->step, address, ret_text, size);

	if (remedy == NULL || size - length < 4)
		return length;
	length += (size_t)snprintf(ret_text + length, size - length, ". ");
	return length + fill(remedy, hostname, ret_text + length, size - length);
}
