package facts

// aptProxies are the proxies of apt's configuration. The audit's own reader of it says what counts, and which files apt refuses.
func aptProxies(h *Host) ([]Setting, error) {
	conf, err := readAptConf(h)
	if err != nil {
		return nil, err
	}
	var all []Setting
	for _, name := range []string{"Acquire::http::Proxy", "Acquire::https::Proxy"} {
		if s := conf.get(name, ""); s.Value != "" {
			all = append(all, Setting{noUserInfo(s.Value), s.Origin})
		}
	}
	return all, nil
}
