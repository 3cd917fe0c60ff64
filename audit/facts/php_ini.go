package facts

import (
	"path"
	"strconv"
	"strings"
)

// phpSetting is one line of a php.ini, .user.ini or pool file.
type phpSetting struct{ section, key, value, origin string }

// maxPHPSettings bounds the lines of one file.
const maxPHPSettings = 50_000

// readPHPIni reads lines as PHP's scanner does: words for truth stand for 1 and nothing unless they are quoted, and ${NAME} is the
// environment, which is not known here and stays as it is.
func readPHPIni(name, text string) []phpSetting {
	var all []phpSetting
	section := ""
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(strings.TrimPrefix(line, "\ufeff"))
		if line == "" || line[0] == ';' || len(all) >= maxPHPSettings {
			continue
		}
		if line[0] == '[' {
			if end := strings.IndexByte(line, ']'); end > 0 {
				section = line[1:end]
			}
			continue
		}
		key, value, found := strings.Cut(line, "=")
		if !found {
			continue
		}
		all = append(all, phpSetting{section, strings.TrimSpace(key), phpIniValue(value), name + ":" + strconv.Itoa(n)})
	}
	return all
}

func phpIniValue(text string) string {
	text = strings.TrimSpace(text)
	if text != "" && (text[0] == '"' || text[0] == '\'') {
		if end := strings.IndexByte(text[1:], text[0]); end >= 0 {
			return text[1 : end+1]
		}
		return text[1:]
	}
	text, _, _ = strings.Cut(text, ";")
	text = strings.TrimSpace(text)
	switch strings.ToLower(text) {
	case "on", "yes", "true":
		return "1"
	case "off", "no", "false", "none", "null":
		return ""
	}
	return text
}

// phpFlag is what php_flag and php_admin_flag make of a word.
func phpFlag(word string) string {
	switch strings.ToLower(word) {
	case "on", "1", "yes", "true":
		return "1"
	}
	return ""
}

// phpDefaults are what PHP does where no file says otherwise: the directives that controls ask for, of PHP 8.
var phpDefaults = map[string]string{
	"allow_url_fopen": "1", "allow_url_include": "", "cgi.fix_pathinfo": "1", "disable_classes": "", "disable_functions": "",
	"display_errors": "1", "display_startup_errors": "1", "enable_dl": "1", "error_log": "", "expose_php": "1", "file_uploads": "1",
	"html_errors": "1", "log_errors": "", "mail.add_x_header": "", "max_execution_time": "30", "max_input_time": "-1",
	"max_input_vars": "1000", "memory_limit": "128M", "open_basedir": "", "post_max_size": "8M", "session.cookie_httponly": "",
	"session.cookie_samesite": "", "session.cookie_secure": "", "session.gc_maxlifetime": "1440", "session.save_path": "",
	"session.sid_length": "32", "session.use_only_cookies": "1", "session.use_strict_mode": "", "session.use_trans_sid": "",
	"short_open_tag": "1", "sys_temp_dir": "", "upload_max_filesize": "2M", "upload_tmp_dir": "", "user_ini.filename": ".user.ini",
	"zend.exception_ignore_args": "",
}

// phpTruth says whether a directive is one of on and off; its value is then told as 1 or nothing.
func phpTruth(name string) bool {
	switch name {
	case "allow_url_fopen", "allow_url_include", "cgi.fix_pathinfo", "display_startup_errors", "enable_dl", "expose_php", "file_uploads",
		"html_errors", "log_errors", "mail.add_x_header", "session.cookie_httponly", "session.cookie_secure", "session.use_only_cookies",
		"session.use_strict_mode", "session.use_trans_sid", "short_open_tag", "zend.exception_ignore_args":
		return true
	}
	return false
}

// phpSystemOnly are directives that neither php_value nor .user.ini can change (PHP_INI_SYSTEM); they are then passed over.
func phpSystemOnly(name string) bool {
	switch name {
	case "allow_url_fopen", "allow_url_include", "disable_classes", "disable_functions", "enable_dl", "expose_php", "extension_dir",
		"file_uploads", "mail.add_x_header", "mail.log", "realpath_cache_size", "realpath_cache_ttl", "sendmail_path", "sys_temp_dir",
		"upload_tmp_dir", "user_ini.filename", "user_ini.cache_ttl", "doc_root", "user_dir", "error_append_file", "hard_timeout":
		return true
	}
	return strings.HasPrefix(name, "cgi.") || strings.HasPrefix(name, "fastcgi.")
}

// phpValues are directives in force.
type phpValues struct {
	settings map[string]Setting
	locked   map[string]bool // set by an administrator's directive
}

func newPHPValues() phpValues {
	v := phpValues{map[string]Setting{}, map[string]bool{}}
	for name, value := range phpDefaults {
		v.settings[name] = Setting{value, "default"}
	}
	return v
}

func (v phpValues) clone() phpValues {
	c := phpValues{make(map[string]Setting, len(v.settings)), make(map[string]bool, len(v.locked))}
	for name, s := range v.settings {
		c.settings[name] = s
	}
	for name := range v.locked {
		c.locked[name] = true
	}
	return c
}

// set is a line of a php.ini, or a directive that may change everything.
func (v phpValues) set(name, value, origin string) {
	if phpTruth(name) {
		if value = phpIniValue(value); value == "0" {
			value = ""
		}
		if n, err := strconv.Atoi(value); err == nil && n != 0 {
			value = "1"
		}
	}
	v.settings[name] = Setting{value, origin}
}

// admin is php_admin_value: nothing that follows changes it.
func (v phpValues) admin(name, value, origin string) {
	v.set(name, value, origin)
	v.locked[name] = true
}

// user is php_value of Apache or a line of .user.ini, which cannot change what is the system's.
func (v phpValues) user(name, value, origin string) {
	if !phpSystemOnly(name) && !v.locked[name] {
		v.set(name, value, origin)
	}
}

// functions are the names in a disable_functions list.
func functions(list string) []string {
	return strings.FieldsFunc(strings.ToLower(list), func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
}

// extensionName is xdebug for xdebug.so, /usr/lib/php/20220829/xdebug.so and xdebug.
func extensionName(value string) string {
	return strings.ToLower(strings.TrimPrefix(strings.TrimSuffix(path.Base(value), ".so"), "php_"))
}
