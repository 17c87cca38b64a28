"""The composition root: from Settings to the processes of a node, with their listeners and jobs.

``serve`` supervises a gateway, the public web, the jobs and the sandbox; each is one module here and knows the
packages it puts together.  A child that dies is started again; SIGTERM lets running uses end first.
"""
