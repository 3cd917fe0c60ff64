package decision

import "context"

// RefreshNames asks once for the names of the allow list.
func (l *List) RefreshNames(ctx context.Context) { l.refreshNames(ctx) }
