package detect_test

import (
	"testing"

	"github.com/doorward/doorward/detect"
)

func TestLoads(t *testing.T) {
	s, err := detect.LoadRules(detect.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(s.Detections())
}
