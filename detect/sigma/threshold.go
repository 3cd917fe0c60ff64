package sigma

import "fmt"

// Threshold is the number that a count must reach (gte) for the correlation to match; ok says whether its condition is of that
// simple form.
func (c *Correlation) Threshold() (n int, ok bool) {
	if len(c.bounds) != 1 || c.bounds[0].op != "gte" || c.Type != EventCount && c.Type != ValueCount {
		return 0, false
	}
	return int(c.bounds[0].number), true
}

// SetThreshold changes that number, before Compile: whoever runs Doorward may set another than the rule's. It is an error if
// the condition is of another form, or n is out of range. Timespan and Respond can be set directly.
func (c *Correlation) SetThreshold(n int) error {
	if _, ok := c.Threshold(); !ok {
		return fmt.Errorf("set the threshold of %s: its condition is not one number that a count must reach", c.Key())
	}
	most := maxThreshold
	if c.Type == ValueCount {
		most = maxDistinct
	}
	if n < 1 || n > most {
		return fmt.Errorf("set the threshold of %s: %d is not from 1 to %d", c.Key(), n, most)
	}
	c.bounds = []bound{{"gte", float64(n)}}
	return nil
}
