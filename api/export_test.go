package api

// Routes lists what the handler answers, as METHOD PATH PRIVILEGE.
func (h *Handler) Routes() []string {
	var all []string
	for _, r := range h.routes() {
		all = append(all, r.method+" "+r.path+" "+string(r.needs))
	}
	return all
}
