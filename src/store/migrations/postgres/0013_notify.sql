-- Roles on other hosts are woken by the transaction that writes what concerns them (store/wakes.h).
CREATE OR REPLACE FUNCTION tell() RETURNS pg_catalog.trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('updraft_' || TG_ARGV[0], '');
  RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION tell_target() RETURNS pg_catalog.trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('updraft_' || NEW.target, '');
  RETURN NULL;
END $$;
CREATE TRIGGER tell_command AFTER INSERT ON command FOR EACH ROW EXECUTE FUNCTION tell_target();
CREATE TRIGGER tell_reply AFTER UPDATE OF done ON command FOR EACH ROW WHEN (NEW.done IS NOT NULL AND NEW.reply_to IS NOT NULL) EXECUTE FUNCTION tell('reply');
CREATE TRIGGER tell_new_dag AFTER INSERT ON dag FOR EACH ROW EXECUTE FUNCTION tell('scheduler');
CREATE TRIGGER tell_dag AFTER UPDATE OF version, is_stale, is_paused ON dag FOR EACH ROW
  WHEN (OLD.version IS DISTINCT FROM NEW.version OR OLD.is_stale <> NEW.is_stale OR OLD.is_paused <> NEW.is_paused) EXECUTE FUNCTION tell('scheduler');
CREATE TRIGGER tell_dag_version AFTER UPDATE OF data ON dag_version FOR EACH ROW EXECUTE FUNCTION tell('scheduler');
CREATE TRIGGER tell_pool AFTER INSERT OR UPDATE OR DELETE ON pool FOR EACH STATEMENT EXECUTE FUNCTION tell('scheduler');
CREATE TRIGGER tell_trigger AFTER INSERT OR DELETE ON "trigger" FOR EACH ROW EXECUTE FUNCTION tell('triggerer');
-- a triggerer comes or goes
CREATE TRIGGER tell_lease AFTER INSERT OR UPDATE ON lease FOR EACH ROW WHEN (NEW.name = 'triggerer' AND NEW.expires IN (0, NEW.taken + 10000000)) EXECUTE FUNCTION tell('scheduler');
