DROP TRIGGER IF EXISTS work_sessions_no_overlap_update ON work_sessions;
DROP TRIGGER IF EXISTS work_sessions_no_overlap_insert ON work_sessions;
DROP FUNCTION IF EXISTS refuse_overlapping_work_sessions();
