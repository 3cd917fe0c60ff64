package scan

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// zap is a traditional JSON report of ZAP as far as it was read. Reports of older versions have no "created", and a time of the
// machine's own zone in "@generated".
type zap struct {
	w                                    *walker
	c                                    *collector
	found                                bool
	program, version, generated, created string
}

// alert is one alert of a site, and at how many places.
type alert struct {
	plugin, reference, name, risk, confidence string
	places                                    []string
}

func (z *zap) site() error {
	if err := z.c.spend(); err != nil {
		return err
	}
	var name string
	var alerts []alert
	err := z.w.object(func(key string) error {
		switch key {
		case "@name":
			return z.w.text(&name)
		case "alerts":
			return z.w.list(func() error { return z.alert(&alerts) })
		}
		return z.w.skip()
	})
	if err != nil {
		return err
	}
	if name == "" {
		return errors.New("a site of the report has no name")
	}
	z.c.target(name)
	for _, a := range alerts {
		if len(a.places) == 0 {
			a.places = []string{name} // newer reports leave out the places of alerts that every page has
		}
		rule := a.reference
		if rule == "" {
			rule = a.plugin
		}
		for _, place := range a.places {
			if a.confidence == "0" { // ZAP's mark of a false positive
				z.c.suppressed++
				continue
			}
			z.c.add(rule, place, a.name, zapRisk(a.risk))
		}
	}
	return nil
}

// zapRisk reads ZAP's risk code; one that is not known is taken as grave.
func zapRisk(code string) Severity {
	switch code {
	case "0":
		return Info
	case "1":
		return Low
	case "2":
		return Medium
	}
	return High
}

func (z *zap) alert(all *[]alert) error {
	if err := z.c.spend(); err != nil {
		return err
	}
	var a alert
	var name string
	err := z.w.object(func(key string) error {
		switch key {
		case "pluginid":
			return z.w.text(&a.plugin)
		case "alertRef":
			return z.w.text(&a.reference)
		case "name":
			return z.w.text(&name)
		case "alert":
			return z.w.text(&a.name)
		case "riskcode":
			return z.w.text(&a.risk)
		case "confidence":
			return z.w.text(&a.confidence)
		case "instances":
			return z.w.list(func() error { return z.place(&a.places) })
		}
		return z.w.skip()
	})
	if a.name == "" {
		a.name = name
	}
	*all = append(*all, a)
	return err
}

// place reads one instance: the method, the address without its query, which differs from scan to scan, and the parameter.
func (z *zap) place(all *[]string) error {
	if err := z.c.spend(); err != nil {
		return err
	}
	var uri, method, parameter string
	err := z.w.object(func(key string) error {
		switch key {
		case "uri":
			return z.w.text(&uri)
		case "method":
			return z.w.text(&method)
		case "param":
			return z.w.text(&parameter)
		}
		return z.w.skip()
	})
	uri, _, _ = strings.Cut(uri, "?")
	text := strings.TrimSpace(method + " " + uri)
	if parameter != "" {
		text += " " + parameter
	}
	*all = append(*all, text)
	return err
}

func (z *zap) report() (Report, error) {
	r := Report{Format: "zap", Kind: Web, Tool: z.program, Version: z.version}
	if r.Tool == "" {
		r.Tool = "ZAP"
	}
	if len(z.c.targets) == 0 {
		return Report{}, errors.New("the report names no site: nothing was scanned")
	}
	switch {
	case z.created != "":
		at, err := time.Parse(time.RFC3339Nano, z.created)
		if err != nil {
			return Report{}, fmt.Errorf("the time of the scan cannot be read: %q", plain(z.created, maxWord))
		}
		r.Time = at
	case z.generated != "":
		at, err := time.ParseInLocation("Mon, 2 Jan 2006 15:04:05", z.generated, time.Local)
		if err != nil {
			return Report{}, fmt.Errorf("the time of the scan cannot be read: %q", plain(z.generated, maxWord))
		}
		r.Time = at
	}
	return r, nil
}
