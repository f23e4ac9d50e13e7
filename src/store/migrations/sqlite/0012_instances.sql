-- what task_instance_mutation_hook made of an instance; NULL: as its task has it
ALTER TABLE task_instance ADD COLUMN queue TEXT;
ALTER TABLE task_instance ADD COLUMN executor TEXT;
ALTER TABLE task_instance ADD COLUMN run_as_user TEXT;
ALTER TABLE task_try ADD COLUMN queue TEXT;
ALTER TABLE task_try ADD COLUMN executor TEXT;
ALTER TABLE task_try ADD COLUMN run_as_user TEXT;
