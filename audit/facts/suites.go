package facts

import (
	"slices"
	"strings"
)

// suite is a cipher suite of TLS: its number (IANA, TLS Cipher Suites) and the name that OpenSSL gives it, which is the one
// that web servers are configured with. Suites with pre-shared keys and SRP are left out: no browser offers them.
type suite struct {
	id   uint16
	name string
}

// modern says whether the suite belongs to TLS 1.3.
func (s suite) modern() bool { return strings.HasPrefix(s.name, "TLS_") }

// forward says whether what was recorded stays secret when the server's key is lost (forward secrecy).
func (s suite) forward() bool {
	return s.modern() || strings.HasPrefix(s.name, "ECDHE-") || strings.HasPrefix(s.name, "DHE-")
}

// sealed says whether the suite encrypts and authenticates in one (AEAD).
func (s suite) sealed() bool {
	return s.modern() || strings.Contains(s.name, "GCM") || strings.Contains(s.name, "CCM") || strings.Contains(s.name, "CHACHA20")
}

// broken says whether the suite protects nothing today: no key of the server, no encryption, ciphers with known attacks
// (RFC 7465, RFC 9325, section 4.1).
func (s suite) broken() bool {
	return slices.ContainsFunc([]string{"NULL", "EXP-", "ADH-", "AECDH-", "RC4", "RC2", "DES-", "IDEA", "MD5"},
		func(part string) bool { return strings.Contains(s.name, part) })
}

// triple says whether it is a suite of 3DES with a key exchange that proves the server: only its small blocks speak against it.
func (s suite) triple() bool {
	return strings.Contains(s.name, "DES-CBC3") && !strings.HasPrefix(s.name, "ADH-") && !strings.HasPrefix(s.name, "AECDH-")
}

// suites lists what is offered to a server.
func suites() []suite {
	return []suite{
		{0x0001, "NULL-MD5"},
		{0x0002, "NULL-SHA"},
		{0x0003, "EXP-RC4-MD5"},
		{0x0004, "RC4-MD5"},
		{0x0005, "RC4-SHA"},
		{0x0006, "EXP-RC2-CBC-MD5"},
		{0x0007, "IDEA-CBC-SHA"},
		{0x0008, "EXP-DES-CBC-SHA"},
		{0x0009, "DES-CBC-SHA"},
		{0x000A, "DES-CBC3-SHA"},
		{0x0012, "DHE-DSS-DES-CBC-SHA"},
		{0x0013, "DHE-DSS-DES-CBC3-SHA"},
		{0x0014, "EXP-DHE-RSA-DES-CBC-SHA"},
		{0x0015, "DHE-RSA-DES-CBC-SHA"},
		{0x0016, "DHE-RSA-DES-CBC3-SHA"},
		{0x0017, "EXP-ADH-RC4-MD5"},
		{0x0018, "ADH-RC4-MD5"},
		{0x0019, "EXP-ADH-DES-CBC-SHA"},
		{0x001A, "ADH-DES-CBC-SHA"},
		{0x001B, "ADH-DES-CBC3-SHA"},
		{0x002F, "AES128-SHA"},
		{0x0032, "DHE-DSS-AES128-SHA"},
		{0x0033, "DHE-RSA-AES128-SHA"},
		{0x0034, "ADH-AES128-SHA"},
		{0x0035, "AES256-SHA"},
		{0x0038, "DHE-DSS-AES256-SHA"},
		{0x0039, "DHE-RSA-AES256-SHA"},
		{0x003A, "ADH-AES256-SHA"},
		{0x003B, "NULL-SHA256"},
		{0x003C, "AES128-SHA256"},
		{0x003D, "AES256-SHA256"},
		{0x0040, "DHE-DSS-AES128-SHA256"},
		{0x0041, "CAMELLIA128-SHA"},
		{0x0044, "DHE-DSS-CAMELLIA128-SHA"},
		{0x0045, "DHE-RSA-CAMELLIA128-SHA"},
		{0x0046, "ADH-CAMELLIA128-SHA"},
		{0x0067, "DHE-RSA-AES128-SHA256"},
		{0x006A, "DHE-DSS-AES256-SHA256"},
		{0x006B, "DHE-RSA-AES256-SHA256"},
		{0x006C, "ADH-AES128-SHA256"},
		{0x006D, "ADH-AES256-SHA256"},
		{0x0084, "CAMELLIA256-SHA"},
		{0x0087, "DHE-DSS-CAMELLIA256-SHA"},
		{0x0088, "DHE-RSA-CAMELLIA256-SHA"},
		{0x0089, "ADH-CAMELLIA256-SHA"},
		{0x0096, "SEED-SHA"},
		{0x0099, "DHE-DSS-SEED-SHA"},
		{0x009A, "DHE-RSA-SEED-SHA"},
		{0x009C, "AES128-GCM-SHA256"},
		{0x009D, "AES256-GCM-SHA384"},
		{0x009E, "DHE-RSA-AES128-GCM-SHA256"},
		{0x009F, "DHE-RSA-AES256-GCM-SHA384"},
		{0x00A2, "DHE-DSS-AES128-GCM-SHA256"},
		{0x00A3, "DHE-DSS-AES256-GCM-SHA384"},
		{0x00A6, "ADH-AES128-GCM-SHA256"},
		{0x00A7, "ADH-AES256-GCM-SHA384"},
		{0x00BA, "CAMELLIA128-SHA256"},
		{0x00BD, "DHE-DSS-CAMELLIA128-SHA256"},
		{0x00BE, "DHE-RSA-CAMELLIA128-SHA256"},
		{0x00BF, "ADH-CAMELLIA128-SHA256"},
		{0x00C0, "CAMELLIA256-SHA256"},
		{0x00C3, "DHE-DSS-CAMELLIA256-SHA256"},
		{0x00C4, "DHE-RSA-CAMELLIA256-SHA256"},
		{0x00C5, "ADH-CAMELLIA256-SHA256"},
		{0x1301, "TLS_AES_128_GCM_SHA256"},
		{0x1302, "TLS_AES_256_GCM_SHA384"},
		{0x1303, "TLS_CHACHA20_POLY1305_SHA256"},
		{0x1304, "TLS_AES_128_CCM_SHA256"},
		{0x1305, "TLS_AES_128_CCM_8_SHA256"},
		{0xC006, "ECDHE-ECDSA-NULL-SHA"},
		{0xC007, "ECDHE-ECDSA-RC4-SHA"},
		{0xC008, "ECDHE-ECDSA-DES-CBC3-SHA"},
		{0xC009, "ECDHE-ECDSA-AES128-SHA"},
		{0xC00A, "ECDHE-ECDSA-AES256-SHA"},
		{0xC010, "ECDHE-RSA-NULL-SHA"},
		{0xC011, "ECDHE-RSA-RC4-SHA"},
		{0xC012, "ECDHE-RSA-DES-CBC3-SHA"},
		{0xC013, "ECDHE-RSA-AES128-SHA"},
		{0xC014, "ECDHE-RSA-AES256-SHA"},
		{0xC015, "AECDH-NULL-SHA"},
		{0xC016, "AECDH-RC4-SHA"},
		{0xC017, "AECDH-DES-CBC3-SHA"},
		{0xC018, "AECDH-AES128-SHA"},
		{0xC019, "AECDH-AES256-SHA"},
		{0xC023, "ECDHE-ECDSA-AES128-SHA256"},
		{0xC024, "ECDHE-ECDSA-AES256-SHA384"},
		{0xC027, "ECDHE-RSA-AES128-SHA256"},
		{0xC028, "ECDHE-RSA-AES256-SHA384"},
		{0xC02B, "ECDHE-ECDSA-AES128-GCM-SHA256"},
		{0xC02C, "ECDHE-ECDSA-AES256-GCM-SHA384"},
		{0xC02F, "ECDHE-RSA-AES128-GCM-SHA256"},
		{0xC030, "ECDHE-RSA-AES256-GCM-SHA384"},
		{0xC050, "ARIA128-GCM-SHA256"},
		{0xC051, "ARIA256-GCM-SHA384"},
		{0xC052, "DHE-RSA-ARIA128-GCM-SHA256"},
		{0xC053, "DHE-RSA-ARIA256-GCM-SHA384"},
		{0xC056, "DHE-DSS-ARIA128-GCM-SHA256"},
		{0xC057, "DHE-DSS-ARIA256-GCM-SHA384"},
		{0xC05C, "ECDHE-ECDSA-ARIA128-GCM-SHA256"},
		{0xC05D, "ECDHE-ECDSA-ARIA256-GCM-SHA384"},
		{0xC060, "ECDHE-ARIA128-GCM-SHA256"},
		{0xC061, "ECDHE-ARIA256-GCM-SHA384"},
		{0xC072, "ECDHE-ECDSA-CAMELLIA128-SHA256"},
		{0xC073, "ECDHE-ECDSA-CAMELLIA256-SHA384"},
		{0xC076, "ECDHE-RSA-CAMELLIA128-SHA256"},
		{0xC077, "ECDHE-RSA-CAMELLIA256-SHA384"},
		{0xC09C, "AES128-CCM"},
		{0xC09D, "AES256-CCM"},
		{0xC09E, "DHE-RSA-AES128-CCM"},
		{0xC09F, "DHE-RSA-AES256-CCM"},
		{0xC0A0, "AES128-CCM8"},
		{0xC0A1, "AES256-CCM8"},
		{0xC0A2, "DHE-RSA-AES128-CCM8"},
		{0xC0A3, "DHE-RSA-AES256-CCM8"},
		{0xC0AC, "ECDHE-ECDSA-AES128-CCM"},
		{0xC0AD, "ECDHE-ECDSA-AES256-CCM"},
		{0xC0AE, "ECDHE-ECDSA-AES128-CCM8"},
		{0xC0AF, "ECDHE-ECDSA-AES256-CCM8"},
		{0xCCA8, "ECDHE-RSA-CHACHA20-POLY1305"},
		{0xCCA9, "ECDHE-ECDSA-CHACHA20-POLY1305"},
		{0xCCAA, "DHE-RSA-CHACHA20-POLY1305"},
	}
}

// namesOf are the suites as text.
func namesOf(all []suite) []string {
	names := []string{}
	for _, s := range all {
		names = append(names, s.name)
	}
	return names
}
