bind = "127.0.0.1:8001"
workers = 2
threads = 16
control_socket_disable = True  # it would be in the home folder
