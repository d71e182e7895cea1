#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "lane/allow_list.h"

static void platforms_by_their_greeting(void **state)
{
	static const struct {
		const char *banner, *ehlo, *host;
		enum platform platform;
	} rows[] = {
	    {"mail.example.com Microsoft ESMTP MAIL Service ready at Mon, 23 Nov 2026 10:00:00 +0100", "",
	     "mail.example.com", PLATFORM_EXCHANGE},
	    {"mail.example.com", "mail.example.com Hello [192.0.2.1]\nSIZE\nX-EXPS NTLM\nXRDST", "",
	     PLATFORM_EXCHANGE},
	    {"AM0EUR02FT012.mail.protection.outlook.com Microsoft ESMTP MAIL Service ready", "", "",
	     PLATFORM_MICROSOFT_365},
	    {"", "", "example-com.mail.protection.outlook.com", PLATFORM_MICROSOFT_365},
	    {"mx.google.com ESMTP 5b1f17b1804b1-4775b1 - gsmtp", "", "aspmx.l.google.com", PLATFORM_GOOGLE},
	    {"", "", "aspmx.l.google.com", PLATFORM_GOOGLE},
	    {"mail.example.com ESMTP Postfix (Debian/GNU)", "", "", PLATFORM_POSTFIX},
	    {"mailcow ESMTP Postcow, powered by Postfix", "", "", PLATFORM_MAILCOW},
	    {"zimbra.example.com ESMTP Postfix", "", "", PLATFORM_ZIMBRA},
	    {"mail.example.com ESMTP Exim 4.96 Mon, 23 Nov 2026 10:00:00 +0000", "", "", PLATFORM_EXIM},
	    {"mail.example.com ESMTP Sendmail 8.15.2/8.15.2; Mon, 23 Nov 2026", "", "", PLATFORM_SENDMAIL},
	    {"mail.example.com ESMTP OpenSMTPD", "", "", PLATFORM_OPENSMTPD},
	    {"mail.example.com ESMTP MailEnable Service, Version: 10.40", "", "", PLATFORM_MAILENABLE},
	    {"mail.example.com hMailServer ESMTP", "", "", PLATFORM_HMAILSERVER},
	    {"mail.example.com SmarterMail", "", "", PLATFORM_SMARTERMAIL},
	    {"mail.example.com Kerio Connect 9.2.5 ESMTP ready", "", "", PLATFORM_KERIO},
	    {"mail.example.com ESMTP Service (HCL Domino Release 12.0.2) ready", "", "", PLATFORM_DOMINO},
	    {"mail.example.com SMTP Server (JAMES SMTP Server) ready", "", "", PLATFORM_JAMES},
	    {"mail.example.com ESMTP Haraka/3.0.3 ready", "", "", PLATFORM_HARAKA},
	    {"mail.example.com Stalwart ESMTP at your service.", "", "", PLATFORM_STALWART},
	    {"mx0a-00123401.pphosted.com ESMTP mfa-m0123456", "", "", PLATFORM_PROOFPOINT},
	    {"", "", "mx1-us1.ppe-hosted.com", PLATFORM_PROOFPOINT},
	    {"barracuda.example.com ESMTP (5e4f8a1b)", "", "", PLATFORM_BARRACUDA},
	    {"eu-smtp-1.mimecast.com ESMTP", "", "", PLATFORM_MIMECAST},
	    {"esa1.example.com ESMTP", "", "mx1.hc123-45.eu.iphmx.com", PLATFORM_IRONPORT},
	    {"mail.example.com ESMTP", "", "mail.example.com", PLATFORM_UNKNOWN},
	    {"", "", "", PLATFORM_UNKNOWN},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum platform platform =
		    platform_of(slice_of(rows[i].banner), slice_of(rows[i].ehlo), slice_of(rows[i].host));
		if (platform != rows[i].platform)
			fail_msg("\"%s\": %s", rows[i].banner, platform_name(platform));
	}
}

static void advice_names_the_address(void **state)
{
	static const char address[] = "2001:db8:1234:5678:9abc:def0:1234:5678";
	char text[ALLOW_LIST_TEXT_MAX];

	for (int platform = 0; platform < PLATFORM_END; platform++) {
		for (int reason = REASON_US_SPF; reason <= REASON_US_SPOOFING; reason++) {
			size_t length =
			    allow_list_advice((enum platform)platform, (enum verdict_reason)reason, address,
					      "relay-1.mail-gateways.example.net", text, sizeof(text));
			assert_int_equal(length, strlen(text));
			assert_true(length < sizeof(text) - 1); /* nothing was cut */
			assert_non_null(strstr(text, address));
			assert_null(strstr(text, "%s"));
		}
		assert_int_equal(platform_name((enum platform)platform)[0] == '\0',
				 platform == PLATFORM_UNKNOWN);
	}
	(void)allow_list_advice(PLATFORM_GOOGLE, REASON_US_REVERSE_DNS, "192.0.2.1", "relay.example.net",
				text, sizeof(text));
	assert_non_null(strstr(text, "Inbound gateway"));
	assert_non_null(strstr(text, "a PTR record that names relay.example.net"));
}

static void advice_in_little_room(void **state)
{
	char text[ALLOW_LIST_TEXT_MAX];

	for (size_t size = 1; size < sizeof(text); size++) {
		size_t length = allow_list_advice(PLATFORM_POSTFIX, REASON_US_REVERSE_DNS, "192.0.2.1",
						  "relay.example.net", text, size);
		assert_true(length < size);
		assert_int_equal(length, strlen(text));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(platforms_by_their_greeting),
	    cmocka_unit_test(advice_names_the_address),
	    cmocka_unit_test(advice_in_little_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
